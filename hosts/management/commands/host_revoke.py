"""`manage.py host_revoke NAME`: refuse a host's key for good."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hosts.errors import NoSuchHost
from hosts.services import host_revoke


class Command(BaseCommand):
    help = "Refuse a host's key from now on. What runs there counts as lost after MAGS_HOST_LEASE_S."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            host_revoke(options["name"])
        except NoSuchHost as error:
            raise CommandError(f"{error.message} {error.remediation}") from error
        self.stdout.write(f"{options['name']}: revoked")
