"""The page of one's own account, and what ends sessions."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.utils import timezone
from social_django.models import Nonce

from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import CliLogin, Invitation, SecurityEvent, User
from accounts.sign_in_errors import Refusal
from accounts.tasks import forget_old
from core.addresses import client_address
from dashboard.event_words import WORDS, browser_words, event_row
from dashboard.refusal_words import WORDS as REFUSAL_WORDS
from jobs.socketauth import cookie_check
from mags_project.settings import words
from tests.accounts import factories
from tests.servers import RedisServer

pytestmark = pytest.mark.django_db
PAGE = "/settings/"
ME = "/api/v1/auth/me"
NEW = "another long enough password"


def signed_in(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def newest(owner: User) -> SecurityEvent:
    return SecurityEvent.objects.filter(user=owner).order_by("-id")[0]


def test_it_is_for_who_is_signed_in_and_needs_csrf() -> None:
    assert Client().get(PAGE).status_code == 302
    assert factories.browser_of(factories.user()).post(PAGE, {"action": "sign_out"}).status_code == 403
    assert signed_in(factories.user()).post(PAGE, {"action": "nonsense"}).status_code == 400


def test_only_ones_own_events_are_listed_newest_first() -> None:
    owner, other = factories.user(), factories.user()
    note(other, EventKind.TOKEN_CREATED, token="of-the-other")
    note(owner, EventKind.TOKEN_CREATED, token="older")
    note(owner, EventKind.TOKEN_CREATED, token="newer <b>")
    page = signed_in(owner).get(PAGE).content.decode()
    assert "of-the-other" not in page
    assert page.index("newer &lt;b&gt;") < page.index("older")


def test_changing_the_password_ends_the_other_sessions() -> None:
    owner = factories.user()
    here, there = signed_in(owner), signed_in(owner)
    form = {"action": "password", "present": factories.PASSWORD, "wanted": NEW, "again": NEW}
    assert here.post(PAGE, form).status_code == 302
    owner.refresh_from_db()
    assert owner.check_password(NEW)
    assert here.get(ME).status_code == 200
    assert there.get(ME).status_code == 401
    assert newest(owner).kind == EventKind.PASSWORD_CHANGED


@pytest.mark.parametrize(
    "wrong", [{"present": "no"}, {"wanted": "short", "again": "short"}, {"again": "other"}, {"present": ""}]
)
def test_a_password_is_not_changed_by_a_wrong_form(wrong: dict[str, str]) -> None:
    owner = factories.user()
    form = {"action": "password", "present": factories.PASSWORD, "wanted": NEW, "again": NEW, **wrong}
    answer = signed_in(owner).post(PAGE, form)
    assert answer.status_code == 400
    assert NEW not in answer.content.decode()
    owner.refresh_from_db()
    assert owner.check_password(factories.PASSWORD)


def test_the_present_password_cannot_be_guessed_at_will(redis: RedisServer) -> None:
    owner = factories.user()
    client = signed_in(owner)
    form = {"action": "password", "present": "no", "wanted": NEW, "again": NEW}
    for _ in range(5):
        client.post(PAGE, form)
    answer = client.post(PAGE, {**form, "present": factories.PASSWORD})
    assert "Too many attempts" in answer.content.decode()


def test_signing_out_everywhere_ends_sessions_and_their_websockets_but_no_token() -> None:
    owner = factories.user()
    here, there = signed_in(owner), signed_in(owner)
    cookie = f"mags_session={there.cookies['mags_session'].value}".encode()
    headers = [(b"cookie", cookie), (b"origin", b"http://127.0.0.1:8080"), (b"host", b"127.0.0.1:8080")]
    check = cookie_check({"headers": headers})
    assert check is not None
    assert check() == owner  # what a WebSocket asks again every few seconds
    assert here.post(PAGE, {"action": "sign_out"})["Location"] == "/login/?done=everywhere"
    assert [client.get(ME).status_code for client in (here, there)] == [401, 401]
    assert check() is None
    assert factories.client_of(owner).get(ME).status_code == 200


def test_an_account_that_is_switched_off_ends_its_sessions_and_websockets() -> None:
    owner = factories.user()
    client = signed_in(owner)
    cookie = f"mags_session={client.cookies['mags_session'].value}".encode()
    headers = [(b"cookie", cookie), (b"origin", b"http://127.0.0.1:8080"), (b"host", b"127.0.0.1:8080")]
    check = cookie_check({"headers": headers})
    assert check is not None
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert check() is None
    assert client.get(ME).status_code == 401
    assert client.get(PAGE).status_code == 302


def test_signing_out_is_by_post_only_and_noted() -> None:
    owner = factories.user()
    client = signed_in(owner)
    assert client.get("/logout/").status_code == 405
    client.post("/logout/")
    assert client.get(ME).status_code == 401
    assert newest(owner).kind == EventKind.SIGNED_OUT


def test_passwords_are_noted_right_or_wrong(redis: RedisServer) -> None:
    owner = factories.user()
    Client().post(
        "/login/", {"username": owner.email, "password": "wrong"}, headers={"User-Agent": "x\x1b[2J"}
    )
    failed = newest(owner)
    assert (failed.kind, failed.address) == (EventKind.SIGN_IN_FAILED, "127.0.0.1")
    assert failed.agent.isprintable()
    Client().post("/login/", {"username": owner.email, "password": factories.PASSWORD})
    assert newest(owner).kind == EventKind.SIGNED_IN


def test_signing_in_to_the_administration_is_noted_too(redis: RedisServer) -> None:
    admin = factories.user(is_staff=True)
    for password, kind in (("wrong", EventKind.SIGN_IN_FAILED), (factories.PASSWORD, EventKind.SIGNED_IN)):
        Client().post("/admin/login/", {"username": admin.email, "password": password})
        assert newest(admin).kind == kind


def test_an_administrator_who_switches_an_account_off_is_noted() -> None:
    admin, owner = factories.user(is_staff=True, is_superuser=True), factories.user()
    browser = signed_in(owner)
    form = {"email": owner.email, "name": ""}
    signed_in(admin).post(f"/admin/accounts/user/{owner.pk}/change/", form)
    owner.refresh_from_db()
    assert not owner.is_active
    assert newest(owner).kind == EventKind.USER_SUSPENDED
    assert newest(owner).detail == {"by": admin.email}
    signed_in(admin).post(f"/admin/accounts/user/{owner.pk}/change/", {**form, "is_active": "on"})
    owner.refresh_from_db()
    assert owner.is_active
    assert browser.get(ME).status_code == 401  # the session from before does not come back


def test_what_is_old_is_forgotten(settings: Any) -> None:
    owner = factories.user()
    client = signed_in(owner)
    old = timezone.now() - timedelta(days=settings.SECURITY_EVENT_DAYS, minutes=1)
    note(owner, EventKind.SIGNED_OUT)
    SecurityEvent.objects.update(at=old)
    note(owner, EventKind.SIGNED_IN)
    Nonce.objects.create(server_url="x", timestamp=int(time.time()) - 7200, salt="old")
    Nonce.objects.create(server_url="x", timestamp=int(time.time()), salt="new")
    Session.objects.create(session_key="old", session_data="", expire_date=old)
    CliLogin.objects.create(digest="old", host_name="x", system="x", expires_at=old)
    CliLogin.objects.create(digest="new", host_name="x", system="x", expires_at=timezone.now())
    forget_old()
    assert [login.digest for login in CliLogin.objects.all()] == ["new"]
    assert [event.kind for event in SecurityEvent.objects.all()] == [EventKind.SIGNED_IN]
    assert [nonce.salt for nonce in Nonce.objects.all()] == ["new"]
    assert Session.objects.count() == 1
    assert client.get(ME).status_code == 200


def test_inviting_by_command() -> None:
    out = StringIO()
    call_command("invite", "Guest@example.org", stdout=out)
    call_command("invite", "guest@example.org", stdout=out)
    assert "is invited now" in out.getvalue()
    assert "was invited before" in out.getvalue()
    assert Invitation.objects.get().email == "guest@example.org"
    with pytest.raises(CommandError, match="not an e-mail address"):
        call_command("invite", "guest")


def test_every_kind_and_every_refusal_has_words() -> None:
    assert set(WORDS) == set(EventKind)
    assert set(REFUSAL_WORDS) == set(Refusal)
    assert event_row(SecurityEvent(kind="of_the_future", detail={})).sentence == "Of the future"
    assert event_row(SecurityEvent(kind=EventKind.SIGNED_IN, detail={})).sentence == "Signed in with …"


def test_browsers_have_names() -> None:
    chrome = (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"
    )
    assert browser_words(chrome) == "Chrome on Linux"
    assert browser_words("mags-cli/1.0") == "mags-cli"
    assert browser_words("") == ""


def test_addresses_come_from_the_proxy_only_where_there_is_one(settings: Any) -> None:
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.1"})
    assert client_address(request) == "127.0.0.1"
    settings.BEHIND_PROXY = True
    assert client_address(request) == "192.0.2.1"
    forged = RequestFactory().get("/", headers={"X-Forwarded-For": "192.0.2.1, <script>"})
    assert client_address(forged) == "127.0.0.1"


def test_a_domain_of_nothing_is_none() -> None:
    assert words(["Example.org", " ", "", " example.net "]) == ["example.org", "example.net"]


@pytest.mark.parametrize(
    ("half", "missing"),
    [
        ({"MAGS_GOOGLE_CLIENT_ID": "x"}, "MAGS_GOOGLE_CLIENT_SECRET"),
        ({"MAGS_OIDC_ISSUER": "https://id.example", "MAGS_OIDC_CLIENT_ID": "x"}, "MAGS_OIDC_CLIENT_SECRET"),
        (
            {
                "MAGS_OIDC_ISSUER": "http://id.example",
                "MAGS_OIDC_CLIENT_ID": "x",
                "MAGS_OIDC_CLIENT_SECRET": "y",
            },
            "not an https",
        ),
    ],
)
def test_half_of_the_settings_is_refused_at_start(half: dict[str, str], missing: str) -> None:
    import_settings = [sys.executable, "-c", "import mags_project.settings"]
    done = subprocess.run(
        import_settings, env={**os.environ, **half}, capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert missing in done.stderr.splitlines()[-1]
