"""`manage.py invite`: somebody may sign in through a provider."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from accounts.invitations import invite


class Command(BaseCommand):
    help = "Let the person with this verified e-mail address sign in with Google or the other provider."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        email: str = options["email"]
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        words = "is invited now" if invite(email) else "was invited before"
        self.stdout.write(f"{email} {words}. They sign in at {settings.PUBLIC_URL}/login/")
