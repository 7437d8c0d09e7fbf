"""`manage.py host_publish_images NAME`: let a host publish images."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hosts.errors import NoSuchHost
from hosts.services import host_publishes_images


class Command(BaseCommand):
    help = "Let a host publish images, which then run on every host. It learns that at its next start."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--off", action="store_true", help="take the right away")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            host_publishes_images(options["name"], is_allowed=not options["off"])
        except NoSuchHost as error:
            raise CommandError(f"{error.message} {error.remediation}") from error
        verb = "may no longer publish" if options["off"] else "may publish"
        self.stdout.write(f"{options['name']}: {verb} images")
