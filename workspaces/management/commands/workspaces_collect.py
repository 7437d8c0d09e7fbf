"""`manage.py workspaces_collect`: expire versions by rule and remove what nobody needs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import MagsError
from workspaces import hooks
from workspaces.services import objects_collect, versions_expire, versions_prune


class Command(BaseCommand):
    help = "Expire versions by rule, then remove objects that no version needs and that are old enough."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="Count the objects to remove now; expire and remove none."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        is_dry = options["dry_run"]
        try:
            if not is_dry:
                self.stdout.write(f"{versions_expire()} versions expired, {versions_prune()} removed")
            collected = objects_collect(is_dry=is_dry)
            reports = [images.collect(is_dry) for images in hooks.images()]
        except MagsError as error:
            raise CommandError(f"{error.message} {error.remediation}") from error
        verb = "would be removed" if is_dry else "removed"
        self.stdout.write(f"{collected.objects} objects, {collected.size_bytes} bytes {verb}")
        hooks.say(reports, self.stdout.write)
        for owner_id in collected.skipped:
            self.stdout.write(f"u{owner_id}: left alone; run `manage.py workspaces_rebuild` first")
