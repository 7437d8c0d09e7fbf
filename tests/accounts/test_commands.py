"""`manage.py user_create`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import ApiToken, User
from tests.accounts import factories


def run(*arguments: str) -> dict[str, str]:
    out = io.StringIO()
    call_command("user_create", *arguments, stdout=out, stderr=io.StringIO())
    return dict(line.split("=", 1) for line in out.getvalue().splitlines())


@pytest.mark.django_db
def test_admin_with_generated_password_and_token_can_sign_in_and_call() -> None:
    made = run("Root@Example.org", "--admin", "--token", "dev", "--password-file", "generated")
    assert set(made) == {"MAGS_EMAIL", "MAGS_PASSWORD", "MAGS_API_TOKEN"}
    user = User.objects.get()
    assert user.email == made["MAGS_EMAIL"] == "root@example.org"
    assert user.check_password(made["MAGS_PASSWORD"])
    assert user.is_staff
    assert factories.bearer(made["MAGS_API_TOKEN"]).get("/api/v1/auth/me").status_code == 200


@pytest.mark.django_db
def test_running_it_again_changes_nothing_but_adds_the_token_asked_for() -> None:
    first = run("a@example.org", "--password-file", "generated", "--token", "one")
    again = run("A@example.org", "--password-file", "generated", "--admin")
    assert again == {"MAGS_EMAIL": "a@example.org"}
    user = User.objects.get()
    assert user.check_password(first["MAGS_PASSWORD"])
    assert not user.is_staff
    assert ApiToken.objects.count() == 1
    third = run("a@example.org", "--token", "two")
    assert third["MAGS_API_TOKEN"] != first["MAGS_API_TOKEN"]
    assert ApiToken.objects.count() == 2


@pytest.mark.django_db
def test_password_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(factories.PASSWORD + "\n")
    assert set(run("a@example.org", "--password-file", str(path))) == {"MAGS_EMAIL"}
    assert User.objects.get().check_password(factories.PASSWORD)


@pytest.mark.django_db
def test_without_a_password_nobody_can_sign_in() -> None:
    run("a@example.org")
    assert not User.objects.get().has_usable_password()


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["", "nobody", "a@", "a b@example.org"])
def test_bad_address_creates_nobody(email: str) -> None:
    with pytest.raises(CommandError, match="not an e-mail address"):
        run(email)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_weak_password_creates_nobody(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("short")
    with pytest.raises(CommandError, match="too short"):
        run("a@example.org", "--password-file", str(path))
    assert not User.objects.exists()
