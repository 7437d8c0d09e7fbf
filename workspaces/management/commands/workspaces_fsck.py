"""`manage.py workspaces_fsck`: is every object of every version and image there and right?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import MagsError
from workspaces import hooks
from workspaces.services import workspaces_check


class Command(BaseCommand):
    help = (
        "Check every object of every version and image, and mark what is damaged. Exit code 1: something is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--shallow", action="store_true", help="Compare sizes only; by default every byte is read."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            checked = workspaces_check(is_deep=not options["shallow"])
            reports = [images.check(not options["shallow"]) for images in hooks.images()]
        except MagsError as error:
            raise CommandError(f"{error.message} {error.remediation}") from error
        for finding in checked.findings:
            version = finding.version
            where = f"u{version.workspace.owner_id}\t{version.workspace.name}\t{version.number}"
            self.stdout.write(f"{where}\t{finding.key}\t{finding.problem}")
        self.stdout.write(
            f"{checked.versions} versions, {checked.objects} objects, {checked.size_bytes} bytes:"
            f" {len(checked.findings)} problems"
        )
        if not hooks.say(reports, self.stdout.write) or checked.findings:
            sys.exit(1)
