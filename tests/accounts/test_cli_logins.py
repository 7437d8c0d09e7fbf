"""Tokens for command lines: consent, one-time codes, and everything that must not get one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from accounts.cli_logins import challenge_of, comparison_code
from accounts.models import ApiToken, CliLogin, SecurityEvent, User
from tests.accounts.factories import bearer, user
from tests.servers import RedisServer
from tests.shape import assert_error

pytestmark = pytest.mark.django_db
API = "/api/v1/auth"
JSON = "application/json"
VERIFIER = "v" * 64
REDIRECT = "http://127.0.0.1:45678/callback"
STATE = "s" * 24
CONSENT = {"approve": "1", "name": "laptop", "scope": "run", "expires_days": "30"}
MACHINE = {"host_name": "laptop.example", "system": "Linux"}


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def browser(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def link(**changes: str) -> str:
    query = {
        "redirect_uri": REDIRECT,
        "state": STATE,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        **MACHINE,
    }
    return f"/cli/login/?{urlencode({**query, **changes})}"


def consent(browser: Client, **changes: str) -> dict[str, str]:
    """What the page sends to the command's port."""
    page = browser.post(link(), {**CONSENT, **changes})
    assert page.status_code == 200
    address = re.search(r'content="0;url=([^"]+)"', page.content.decode())
    assert address is not None
    assert address[1].startswith(f"{REDIRECT}?")
    answer = parse_qs(urlsplit(address[1].replace("&amp;", "&")).query)
    return {name: values[0] for name, values in answer.items()}


def exchange(**body: str) -> Any:
    return Client().post(f"{API}/cli/token", body, content_type=JSON)


def redeem(code: str, **changes: str) -> Any:
    return exchange(**{"code": code, "verifier": VERIFIER, "redirect_uri": REDIRECT, **changes})


def test_consent_gives_the_command_the_token_that_was_agreed_to(browser: Client, owner: User) -> None:
    assert browser.get(link()).status_code == 200
    assert not ApiToken.objects.exists()  # a page that was only opened does nothing
    answer = consent(browser, workspace="mine")
    assert answer["state"] == STATE
    given = redeem(answer["code"]).json()
    assert given["email"] == owner.email
    token = ApiToken.objects.get()
    assert (token.name, token.scopes, token.workspace_name) == ("laptop", ["read", "run"], "mine")
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)
    assert bearer(given["token"]).get(f"{API}/me").status_code == 200
    kinds = list(SecurityEvent.objects.filter(user=owner).order_by("pk").values_list("kind", flat=True))
    assert kinds[-2:] == ["cli_authorised", "token_created"]


def test_a_code_counts_once(browser: Client) -> None:
    code = consent(browser)["code"]
    assert redeem(code).status_code == 200
    assert_error(redeem(code), 400, "invalid_grant")
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [{"verifier": "w" * 64}, {"verifier": "short"}, {"redirect_uri": "http://127.0.0.1:45679/callback"}],
)
def test_a_wrong_proof_spends_the_code(browser: Client, wrong: dict[str, str]) -> None:
    code = consent(browser)["code"]
    assert_error(redeem(code, **wrong), 400, "invalid_grant")
    assert_error(redeem(code), 400, "invalid_grant")
    assert not ApiToken.objects.exists()


def test_an_old_code_and_one_of_somebody_who_was_suspended_are_refused(browser: Client, owner: User) -> None:
    old = consent(browser)["code"]
    CliLogin.objects.update(expires_at=timezone.now())
    assert_error(redeem(old), 400, "invalid_grant")
    code = consent(browser)["code"]
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert_error(redeem(code), 400, "invalid_grant")
    assert not ApiToken.objects.exists()


def test_denial_tells_the_command_and_gives_nothing(browser: Client, owner: User) -> None:
    assert consent(browser, deny="1") == {"error": "access_denied", "state": STATE}
    assert not CliLogin.objects.exists()
    assert SecurityEvent.objects.filter(user=owner, kind="cli_denied").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example:4567/callback"},
        {"redirect_uri": "http://127.0.0.1:4567@evil.example/callback"},
        {"redirect_uri": "http://localhost:4567/callback"},
        {"redirect_uri": "http://127.0.0.1:80/callback"},
        {"redirect_uri": "http://127.0.0.1:99999/callback"},
        {"redirect_uri": "http://127.0.0.1:4567/callback\nx"},
        {"redirect_uri": "http://127.0.0.1:4567/?x=1#"},
        {"redirect_uri": "javascript:alert(1)//127.0.0.1:4567/"},
        {"code_challenge_method": "plain"},
        {"code_challenge": "short"},
        {"state": ""},
        {"host_name": "x" * 101},
    ],
)
def test_a_foreign_link_shows_no_consent_and_sends_nothing_anywhere(
    browser: Client, wrong: dict[str, str]
) -> None:
    for answer in (browser.get(link(**wrong)), browser.post(link(**wrong), CONSENT)):
        assert answer.status_code == 400
        assert b"http-equiv" not in answer.content
        assert b"does not come from" in answer.content
    assert not CliLogin.objects.exists()


def test_the_page_shows_the_terminals_code_and_what_the_command_says_as_text(browser: Client) -> None:
    page = browser.get(link(host_name="<script>alert(1)</script>")).content.decode()
    assert comparison_code(challenge_of(VERIFIER)) in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_consent_needs_somebody_who_is_signed_in_and_a_csrf_token(owner: User) -> None:
    assert Client().post(link(), CONSENT)["Location"].startswith("/login/?next=/cli/login/")
    assert Client().get("/device/")["Location"].startswith("/login/?next=/device/")
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(owner)
    assert careful.post(link(), CONSENT).status_code == 403
    assert not CliLogin.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"scope": "root"}, {"expires_days": "1"}, {"workspace": "../x"}]
)
def test_a_form_that_is_wrong_is_shown_again(browser: Client, wrong: dict[str, str]) -> None:
    answer = browser.post(link(), {**CONSENT, **wrong})
    assert answer.status_code == 400
    assert not CliLogin.objects.exists()


def begin() -> dict[str, Any]:
    answer: dict[str, Any] = Client().post(f"{API}/cli/device", MACHINE, content_type=JSON).json()
    return answer


def rested() -> None:
    """As if the command had waited."""
    CliLogin.objects.update(asked_at=timezone.now() - timedelta(seconds=30))


def test_a_device_gets_its_token_once_somebody_has_typed_its_code(browser: Client) -> None:
    begun = begin()
    assert_error(exchange(device_code=begun["device_code"]), 400, "authorization_pending")
    typed = begun["user_code"].replace("-", "").lower()
    page = browser.post("/device/", {"user_code": typed})
    assert b"laptop.example" in page.content
    assert browser.post("/device/", {**CONSENT, "user_code": typed}).status_code == 200
    given = exchange(device_code=begun["device_code"])
    assert bearer(given.json()["token"]).get(f"{API}/me").status_code == 200
    assert_error(exchange(device_code=begun["device_code"]), 400, "invalid_grant")
    assert browser.post("/device/", {**CONSENT, "user_code": typed}).status_code == 404


def test_a_device_that_asks_too_often_is_slowed_down() -> None:
    begun = begin()
    assert_error(exchange(device_code=begun["device_code"]), 400, "authorization_pending")
    slowed = exchange(device_code=begun["device_code"])
    assert_error(slowed, 400, "slow_down")
    assert int(slowed.headers["Retry-After"]) == begun["interval"] + 5
    rested()
    assert_error(exchange(device_code=begun["device_code"]), 400, "authorization_pending")


def test_a_device_that_is_denied_or_too_late_gets_nothing(browser: Client) -> None:
    denied, late = begin(), begin()
    browser.post("/device/", {"user_code": denied["user_code"], "deny": "1"})
    assert_error(exchange(device_code=denied["device_code"]), 403, "access_denied")
    CliLogin.objects.filter(state="pending").update(expires_at=timezone.now())
    assert_error(exchange(device_code=late["device_code"]), 400, "expired_token")
    assert browser.post("/device/", {**CONSENT, "user_code": late["user_code"]}).status_code == 404
    assert not ApiToken.objects.exists()


def test_codes_are_not_stored(browser: Client) -> None:
    begun, code = begin(), consent(browser)["code"]
    stored = str(list(CliLogin.objects.values()))
    for secret in (begun["device_code"], begun["user_code"], begun["user_code"].replace("-", ""), code):
        assert secret not in stored


def test_guesses_at_codes_are_few(browser: Client, redis: RedisServer) -> None:
    answers = [browser.post("/device/", {"user_code": "BBBB-BBBB"}).status_code for _ in range(12)]
    assert answers[:10] == [404] * 10
    assert answers[-1] == 429


@pytest.mark.parametrize("body", [{}, {"code": "x", "device_code": "y"}, {"device_code": "x" * 201}])
def test_questions_that_make_no_sense(body: dict[str, str]) -> None:
    assert_error(exchange(**body), 400, "invalid")
    assert_error(exchange(device_code="nobody's"), 400, "invalid_grant")
    assert_error(redeem("nobody's"), 400, "invalid_grant")


def test_a_machine_cannot_turn_the_words_around_its_name(browser: Client, redis: RedisServer) -> None:
    name = "lap\u202etop\x1b[2J"
    begun = browser.post(f"{API}/cli/device", {**MACHINE, "host_name": name}, content_type=JSON)
    for page in (
        browser.get(link(host_name=name)),
        browser.post("/device/", {"user_code": begun.json()["user_code"]}),
    ):
        text = page.content.decode()
        assert "lap\N{REPLACEMENT CHARACTER}top" in text
        assert "\u202e" not in text
