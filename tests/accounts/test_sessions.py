"""The API with the dashboard's cookie: accepted, with CSRF enforced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.accounts import factories
from tests.servers import RedisServer
from tests.shape import assert_error

ME = "/api/v1/auth/me"
TOKENS = "/api/v1/auth/tokens"


@pytest.mark.django_db
def test_session_reads() -> None:
    owner = factories.user()
    body = factories.browser_of(owner).get(ME).json()
    assert body["email"] == owner.email
    assert body["token"] is None


@pytest.mark.django_db
def test_session_writes_only_with_a_csrf_token() -> None:
    browser = factories.browser_of(factories.user())
    assert_error(browser.post(TOKENS, {"name": "x"}, content_type="application/json"), 403, "csrf_failed")
    browser.get("/admin/login/")  # any page with a form sets the cookie
    token = browser.cookies["mags_csrf"].value
    made = browser.post(
        TOKENS, {"name": "x"}, content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert made.status_code == 201


@pytest.mark.django_db
def test_session_of_an_inactive_or_deleted_person_is_401() -> None:
    owner = factories.user()
    browser = factories.browser_of(owner)
    owner.is_active = False
    owner.save()
    assert_error(browser.get(ME), 401, "unauthorized")
    owner.delete()
    assert_error(browser.get(ME), 401, "unauthorized")


@pytest.mark.django_db
def test_made_up_session_is_401() -> None:
    client = factories.Client()
    client.cookies["mags_session"] = "x" * 32
    assert_error(client.get(ME), 401, "unauthorized")


@pytest.mark.django_db
def test_token_wins_over_the_cookie() -> None:
    other = factories.user()
    _, text = factories.token_of(other)
    browser = factories.browser_of(factories.user())
    assert browser.get(ME, headers={"Authorization": f"Bearer {text}"}).json()["email"] == other.email
    assert_error(browser.get(ME, headers={"Authorization": "Bearer mags_no"}), 401, "bad_token")


@pytest.mark.django_db
def test_signing_in_is_limited_by_address_and_by_email(redis: RedisServer, settings: Any) -> None:
    settings.LOGIN_ATTEMPTS_PER_MINUTE = 2
    owner = factories.user(is_staff=True)
    form = {"username": owner.email, "password": "wrong"}
    client = factories.Client()
    for _ in range(2):
        assert client.post("/admin/login/", form).status_code == 200
    refused = client.post("/admin/login/", form)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert "text/html" in refused.headers["Content-Type"]
    # The same e-mail from elsewhere: its owner is not locked out, but there is an end to guessing.
    others = [client.post("/admin/login/", form, REMOTE_ADDR=f"192.0.2.{n}") for n in range(10, 19)]
    assert [answer.status_code for answer in others] == [200] * 8 + [429]
    form["username"] = "another@example.org"
    assert client.post("/admin/login/", form).status_code == 429  # another e-mail from the same address
    assert client.post("/admin/login/", form, REMOTE_ADDR="192.0.2.9").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["/login/", "/admin/login/"])
def test_behind_a_proxy_one_visitor_does_not_use_up_what_others_have(
    redis: RedisServer, settings: Any, page: str
) -> None:
    settings.BEHIND_PROXY, settings.LOGIN_ATTEMPTS_PER_MINUTE = True, 2
    owner = factories.user(is_staff=True)
    form = {"username": "nobody@example.org", "password": "wrong"}
    guesser = factories.Client(headers={"X-Forwarded-For": "192.0.2.50"})
    for _ in range(3):
        answer = guesser.post(page, form)
    assert b"Too many attempts" in answer.content
    right = {"username": owner.email, "password": factories.PASSWORD}
    elsewhere = factories.Client(headers={"X-Forwarded-For": "192.0.2.51"})
    assert [elsewhere.post(page, right).status_code for _ in range(2)] == [302, 302]


@pytest.mark.django_db
def test_signing_in_works_with_any_case(redis: RedisServer) -> None:
    owner = factories.user(is_staff=True)
    form = {"username": owner.email.upper(), "password": factories.PASSWORD}
    assert factories.Client().post("/admin/login/", form).status_code == 302
