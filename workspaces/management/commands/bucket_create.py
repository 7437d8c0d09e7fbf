"""`manage.py bucket_create`: make the bucket that workspaces and uploads lie in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.errors import MagsError
from workspaces import objectstore


class Command(BaseCommand):
    help = "Make the bucket (MAGS_S3_BUCKET) where it does not exist. Harmless to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            is_new = objectstore.bucket_create()
        except MagsError as error:
            raise CommandError(f"{error.message} {error.remediation}") from error
        self.stdout.write(f"{settings.S3_BUCKET}: {'made' if is_new else 'exists'}")
