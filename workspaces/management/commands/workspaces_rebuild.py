"""`manage.py workspaces_rebuild`: database rows from what the bucket says."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import MagsError
from workspaces import hooks
from workspaces.services import workspaces_rebuild


class Command(BaseCommand):
    help = (
        "Add the workspaces, versions and images that the bucket has and the database has not. Owners must"
        " exist with the ids they had. Exit code 1: not all could be rebuilt."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be added.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # Images first: they are what workspaces stand on.
            reports = [images.rebuild(options["dry_run"]) for images in hooks.images()]
            rebuilt = workspaces_rebuild(is_dry=options["dry_run"])
        except MagsError as error:
            raise CommandError(f"{error.message} {error.remediation}") from error
        for problem in rebuilt.problems:
            self.stdout.write(problem)
        verb = "would be added" if options["dry_run"] else "added"
        self.stdout.write(f"{rebuilt.workspaces} workspaces, {rebuilt.versions} versions {verb}")
        if not hooks.say(reports, self.stdout.write) or rebuilt.problems:
            sys.exit(1)
