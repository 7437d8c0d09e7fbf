"""`manage.py user_create`: a user, and perhaps a token for them."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from accounts.models import User
from accounts.selectors import user_by_email
from accounts.services import token_create, user_create
from core.errors import MagsError

GENERATED = "generated"


class Command(BaseCommand):
    help = (
        "Create a user. Prints one KEY=value a line: MAGS_EMAIL, and MAGS_PASSWORD and MAGS_API_TOKEN"
        " where they were made. For a user that exists already only --token has an effect."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--admin", action="store_true", help="may use /admin/ and see everything there")
        parser.add_argument("--token", metavar="NAME", help="also make a token of this name")
        parser.add_argument(
            "--password-file",
            metavar="FILE",
            help=f"file with the password, - for standard input, or '{GENERATED}'; without it the user"
            " cannot sign in to the dashboard",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run(**options)
        except MagsError as error:
            raise CommandError(f"{error.message} {error.remediation}") from error

    def _run(self, email: str, admin: bool, token: str | None, password_file: str | None, **_: Any) -> None:
        user = user_by_email(email)
        if user is None:
            user = self._create(email, password_file, is_admin=admin)
        else:
            self.stderr.write(f"{user.email} exists already.")
            self._print("MAGS_EMAIL", user.email)
        if token:
            self._print("MAGS_API_TOKEN", token_create(user, token)[1])

    def _create(self, email: str, password_file: str | None, *, is_admin: bool) -> User:
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        password = _password(password_file)
        user = user_create(email, password, is_admin=is_admin)
        self._print("MAGS_EMAIL", user.email)
        if password is not None and password_file == GENERATED:
            self._print("MAGS_PASSWORD", password)
        return user

    def _print(self, name: str, value: str) -> None:
        self.stdout.write(f"{name}={value}")


def _password(source: str | None) -> str | None:
    if source is None:
        return None
    if source == GENERATED:
        return secrets.token_urlsafe(18)
    if source == "-":
        return sys.stdin.readline().rstrip("\n")
    return Path(source).read_text(encoding="utf-8").strip()
