"""`manage.py host_enrolment_token`: lets one new host join."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hosts.services import enrolment_token_create

HOURS_LIMIT = 24 * 365


class Command(BaseCommand):
    help = "Print a token with which one new host can enrol, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--hours", type=float, default=24, help="how long it is good for (24)")
        parser.add_argument(
            "--publishes-images",
            action="store_true",
            help="the host may publish images, which then run on every host",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        hours: float = options["hours"]
        if not 0 < hours <= HOURS_LIMIT:
            raise CommandError(f"--hours must be over 0 and at most {HOURS_LIMIT}.")
        token = enrolment_token_create(timedelta(hours=hours), publishes_images=options["publishes_images"])
        self.stdout.write(token)
