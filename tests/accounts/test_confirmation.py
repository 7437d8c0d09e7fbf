"""What decides who gets into an account wants a sign-in that is not long ago."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone
from social_django.models import UserSocialAuth

from accounts.cli_logins import comparison_code
from accounts.confirmation import CONFIRMED_AT
from accounts.event_kinds import EventKind
from accounts.models import ApiToken, SecurityEvent, User
from tests.accounts import factories
from tests.accounts.oidc import Person, Provider, problem_of
from tests.servers import RedisServer

pytestmark = pytest.mark.django_db
CONFIRM = "/confirm/"
SETTINGS = "/settings/"
TOKENS = "/api/v1/auth/tokens"
ADMIN_TOKEN = {"name": "x", "scopes": ["admin"]}
NEW = "another long enough password"
CONSENT = "/cli/login/?" + urlencode(
    {
        "redirect_uri": "http://127.0.0.1:40000/done", "state": "s" * 20, "code_challenge": "c" * 43,
        "code_challenge_method": "S256", "host_name": "laptop", "system": "Linux",
    }
)  # fmt: skip


def stale(owner: User) -> Client:
    """A browser whose sign-in was long ago."""
    client = Client()
    client.force_login(owner)
    return client


def at(client: Client, moment: Any) -> None:
    session = client.session
    session[CONFIRMED_AT] = moment
    session.save()


def needs(answer: Any, back: str) -> None:
    assert (answer.status_code, answer["Location"]) == (302, f"{CONFIRM}?{urlencode({'next': back})}")


def create(client: Client, **changes: Any) -> Any:
    return client.post(TOKENS, {**ADMIN_TOKEN, **changes}, "application/json")


def kinds(owner: User) -> list[str]:
    return list(SecurityEvent.objects.filter(user=owner).order_by("id").values_list("kind", flat=True))


def test_a_stale_session_is_not_enough(provider: Provider) -> None:
    owner = factories.user()
    UserSocialAuth.objects.create(user=owner, provider="google", uid="mine")
    client = stale(owner)
    needs(client.post("/login/oidc/", {"link": "1"}), "/settings/?done=confirmed#methods")
    needs(
        client.post(SETTINGS, {"action": "unlink", "provider": "google"}), "/settings/?done=confirmed#methods"
    )
    refused = create(client)
    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_needed")
    form = {"approve": "1", "name": "x", "scope": "admin", "expires_days": "7"}
    needs(client.post(CONSENT, form), CONSENT)
    owner.set_unusable_password()
    owner.save()
    client = stale(owner)
    form = {"action": "password", "wanted": NEW, "again": NEW}
    needs(client.post(SETTINGS, form), "/settings/?done=confirmed#password")
    owner.refresh_from_db()
    assert not owner.has_usable_password()
    assert UserSocialAuth.objects.filter(user=owner).count() == 1
    assert not ApiToken.objects.exists()


def test_what_decides_about_nobody_is_not_asked_for(redis: RedisServer) -> None:
    owner = factories.user()
    client = stale(owner)
    assert create(client, scopes=["run"]).status_code == 201
    assert create(factories.client_of(owner)).status_code == 201  # a token of that scope has no session
    assert client.post(SETTINGS, {"action": "profile", "name": "Ann"}).status_code == 302
    changed = {"action": "password", "present": factories.PASSWORD, "wanted": NEW, "again": NEW}
    assert client.post(SETTINGS, changed)["Location"] == "/settings/?done=password#password"


def test_signing_in_counts_until_it_is_old(redis: RedisServer, settings: Any) -> None:
    owner = factories.user()
    client = Client()
    client.post("/login/", {"username": owner.email, "password": factories.PASSWORD})
    assert create(client).status_code == 201
    for moment in (timezone.now().timestamp() - 601, timezone.now().timestamp() + 60, "soon", None):
        at(client, moment)
        assert create(client).status_code == 403, moment
    at(client, timezone.now().timestamp() - 599)
    assert create(client).status_code == 201
    settings.CONFIRMED_MINUTES = 5
    assert create(client).status_code == 403


def test_the_password_confirms_this_session_only(redis: RedisServer) -> None:
    owner = factories.user()
    here, there = stale(owner), stale(owner)
    before = here.session.session_key
    page = here.get(CONFIRM, {"next": "/tokens/"})
    assert 'value="/tokens/"' in page.content.decode()
    answer = here.post(CONFIRM, {"password": factories.PASSWORD, "next": "/tokens/"})
    assert (answer.status_code, answer["Location"]) == (302, "/tokens/")
    assert here.session.session_key != before
    assert create(here).status_code == 201
    assert create(there).status_code == 403
    assert EventKind.CONFIRMED in kinds(owner)
    assert here.get(CONFIRM, {"next": "/tokens/"})["Location"] == "/tokens/"


def test_a_wrong_password_confirms_nothing_and_is_noted(redis: RedisServer, settings: Any) -> None:
    owner, other = factories.user(), factories.user(password="x")
    client = stale(owner)
    for wrong in ("", "wrong", other.password):
        assert client.post(CONFIRM, {"password": wrong, "username": other.email}).status_code == 400
    assert create(client).status_code == 403
    assert kinds(owner) == [EventKind.CONFIRM_FAILED] * 2
    settings.LOGIN_ATTEMPTS_PER_MINUTE = 1
    client.post(CONFIRM, {"password": "wrong"})
    answer = client.post(CONFIRM, {"password": factories.PASSWORD})
    assert "Too many attempts" in answer.content.decode()


@pytest.mark.parametrize(
    "away", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil"]
)
def test_it_leads_nowhere_else(away: str, redis: RedisServer) -> None:
    client = stale(factories.user())
    assert away not in client.get(CONFIRM, {"next": away}).content.decode()
    answer = client.post(CONFIRM, {"password": factories.PASSWORD, "next": away})
    assert answer["Location"] == SETTINGS


def test_it_needs_a_session_and_a_csrf_token() -> None:
    assert Client().get(CONFIRM)["Location"] == "/login/?next=/confirm/"
    browser = factories.browser_of(factories.user())
    assert browser.post(CONFIRM, {"password": factories.PASSWORD}).status_code == 403


def test_a_linked_provider_confirms(provider: Provider) -> None:
    provider.knows("ann")
    person = Person(provider)
    person.sign_in("ann")
    owner = User.objects.get()
    at(person.client, 0.0)
    assert "Confirm with Google" in person.client.get(CONFIRM).content.decode()
    href = person.leave(confirm="1", next="/tokens/")
    assert "prompt=select_account" in href
    assert person.come_back(person.consent(href, "ann"))["Location"] == "/tokens/"
    assert create(person.client).status_code == 201
    assert kinds(owner)[-2:] == [EventKind.CONFIRMED, EventKind.TOKEN_CREATED]


@pytest.mark.parametrize("somebody", ["bob", "nobody-yet"])
def test_another_identity_confirms_nothing_and_signs_nobody_in(provider: Provider, somebody: str) -> None:
    for sub in ("ann", "bob", "nobody-yet"):
        provider.knows(sub)
    Person(provider).sign_in("bob")
    person = Person(provider)
    person.sign_in("ann")
    owner = User.objects.get(email="ann@example.org")
    at(person.client, 0.0)
    answer = person.sign_in(somebody, confirm="1", next="/tokens/")
    assert answer["Location"].startswith(f"{CONFIRM}?next=%2Ftokens%2F&")
    assert problem_of(answer) == "not_linked"
    assert "not the Google account" in person.client.get(answer["Location"]).content.decode()
    assert create(person.client).status_code == 403
    assert person.client.get("/api/v1/auth/me").json()["email"] == owner.email
    assert (User.objects.count(), UserSocialAuth.objects.count()) == (2, 2)


def test_nobody_begins_to_confirm_without_a_session(provider: Provider) -> None:
    assert Client().post("/login/google/", {"confirm": "1"})["Location"] == "/login/"


def test_the_code_of_a_command_line_stays_the_same_over_it(redis: RedisServer) -> None:
    """So that somebody who comes back compares what they compared before."""
    client = stale(factories.user())
    client.post(CONFIRM, {"password": factories.PASSWORD, "next": CONSENT})
    assert comparison_code("c" * 43) in client.get(CONSENT).content.decode()
