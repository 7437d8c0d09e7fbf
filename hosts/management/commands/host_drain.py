"""`manage.py host_drain NAME`: give a host no new work."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hosts.errors import NoSuchHost
from hosts.services import host_drain


class Command(BaseCommand):
    help = "Let a host finish what it has and give it nothing new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--off", action="store_true", help="give it work again")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            host_drain(options["name"], is_draining=not options["off"])
        except NoSuchHost as error:
            raise CommandError(f"{error.message} {error.remediation}") from error
        self.stdout.write(f"{options['name']}: {'takes work again' if options['off'] else 'drains'}")
