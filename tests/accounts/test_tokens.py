"""Tokens: made, listed, used, expired, revoked."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import ApiToken
from accounts.services import token_revoke
from tests.accounts import factories
from tests.shape import assert_error

ME = "/api/v1/auth/me"
TOKENS = "/api/v1/auth/tokens"


@pytest.mark.django_db
def test_me_tells_whose_token_it_is() -> None:
    owner = factories.user(name="Ada")
    token, text = factories.token_of(owner)
    body = factories.bearer(text).get(ME, content_type="application/json").json()
    assert body["email"] == owner.email
    assert body["name"] == "Ada"
    assert body["is_admin"] is False
    assert body["token"]["id"] == token.pk
    assert text not in str(body)


@pytest.mark.django_db
def test_v2_serves_the_same_views() -> None:
    owner = factories.user()
    assert factories.client_of(owner).get("/api/v2/auth/me").json()["email"] == owner.email


@pytest.mark.django_db
def test_token_is_shown_once_and_stored_as_a_digest() -> None:
    owner = factories.user()
    answer = factories.client_of(owner).post(TOKENS, {"name": "ci"}, content_type="application/json")
    assert answer.status_code == 201
    body = answer.json()
    assert body["token"].startswith("mags_")
    assert len(body["token"]) >= 43 + len("mags_")  # 256 bits
    assert body["token"].startswith(body["prefix"])
    stored = ApiToken.objects.filter(pk=body["id"]).values().get()
    assert body["token"] not in str(stored)
    assert factories.bearer(body["token"]).get(ME).status_code == 200
    listed = factories.client_of(owner).get(TOKENS).json()
    assert body["token"] not in str(listed)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_bad_input_creates_nothing(body: dict[str, object], field: str) -> None:
    client = factories.client_of(factories.user())
    before = ApiToken.objects.count()
    error = assert_error(client.post(TOKENS, body, content_type="application/json"), 400, "invalid")
    assert field in error["fields"]
    assert ApiToken.objects.count() == before


@pytest.mark.django_db
def test_list_shows_only_my_own_newest_first_by_page() -> None:
    owner = factories.user()
    client = factories.client_of(owner)
    factories.token_of(factories.user())
    made = [client.post(TOKENS, {"name": f"t{i}"}, content_type="application/json").json() for i in range(3)]
    body = client.get(f"{TOKENS}?page_size=2").json()
    assert [token["id"] for token in body["tokens"]] == [made[2]["id"], made[1]["id"]]
    assert (body["total"], body["page"], body["page_size"]) == (4, 1, 2)
    assert len(client.get(f"{TOKENS}?page=2&page_size=2").json()["tokens"]) == 2
    assert client.get(f"{TOKENS}?page=9").json()["tokens"] == []
    assert client.get(f"{TOKENS}?page_size=100000").json()["page_size"] == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page_size=0", "page=99999999999", "page=²"]
)
def test_bad_page_is_refused(query: str) -> None:
    assert_error(factories.client_of(factories.user()).get(f"{TOKENS}?{query}"), 400, "invalid")


@pytest.mark.django_db
def test_listing_costs_the_same_for_many(django_assert_num_queries: object) -> None:
    owner = factories.user()
    client = factories.client_of(owner)
    client.get(TOKENS)
    for _ in range(20):
        factories.token_of(owner)
    with django_assert_num_queries(3):  # type: ignore[operator]  # token, page, count
        assert client.get(TOKENS).json()["total"] == 21


@pytest.mark.django_db
def test_authentication_costs_one_query(django_assert_num_queries: object) -> None:
    client = factories.client_of(factories.user())
    client.get(ME)
    with django_assert_num_queries(1):  # type: ignore[operator]
        client.get(ME)


@pytest.mark.django_db
def test_owner_revokes_a_token_and_may_repeat_it() -> None:
    owner = factories.user()
    client = factories.client_of(owner)
    token, text = factories.token_of(owner)
    assert client.delete(f"{TOKENS}/{token.pk}").status_code == 204
    assert client.delete(f"{TOKENS}/{token.pk}").status_code == 204
    refused = factories.bearer(text).get(ME)
    assert_error(refused, 401, "token_revoked")
    assert "Bearer" in refused.headers["WWW-Authenticate"]
    assert token.pk not in [listed["id"] for listed in client.get(TOKENS).json()["tokens"]]


@pytest.mark.django_db
def test_strangers_token_looks_like_one_that_does_not_exist() -> None:
    token, text = factories.token_of(factories.user())
    stranger = factories.client_of(factories.user())
    theirs = assert_error(stranger.delete(f"{TOKENS}/{token.pk}"), 404)
    nobodys = assert_error(stranger.delete(f"{TOKENS}/{token.pk + 1000}"), 404)
    assert {**theirs, "request_id": ""} == {**nobodys, "request_id": ""}
    assert factories.bearer(text).get(ME).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "header", ["Bearer mags_wrong", "Bearer", "Bearer ", "bearer \udcff", "Bearer " + "x" * 5000]
)
def test_unknown_token_is_401(header: str) -> None:
    client = factories.bearer("")
    answer = client.get(ME, headers={"Authorization": header})
    assert_error(answer, 401, "bad_token")
    assert "Bearer" in answer.headers["WWW-Authenticate"]


@pytest.mark.django_db
def test_no_credentials_is_401_and_names_the_scheme() -> None:
    answer = factories.Client().get(ME)
    assert_error(answer, 401, "unauthorized")
    assert "Bearer" in answer.headers["WWW-Authenticate"]


@pytest.mark.django_db
def test_expired_token_is_refused() -> None:
    owner = factories.user()
    token, text = factories.token_of(owner, timezone.now() + timedelta(hours=1))
    assert factories.bearer(text).get(ME).status_code == 200
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_error(factories.bearer(text).get(ME), 401, "token_expired")


@pytest.mark.django_db
def test_inactive_owner_is_refused() -> None:
    _, text = factories.token_of(factories.user(is_active=False))
    assert_error(factories.bearer(text).get(ME), 401, "user_inactive")


@pytest.mark.django_db
def test_last_use_is_written_once_a_minute() -> None:
    owner = factories.user()
    token, text = factories.token_of(owner)
    client = factories.bearer(text)
    client.get(ME)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    client.get(ME)
    token.refresh_from_db()
    assert token.last_used_at == first
    old = timezone.now() - timedelta(minutes=2)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=old)
    client.get(ME)
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert token.last_used_at > old


@pytest.mark.django_db(transaction=True)
def test_a_locked_database_does_not_hold_up_or_fail_a_request() -> None:
    token, text = factories.token_of(factories.user())
    locked, done = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with transaction.atomic():
            ApiToken.objects.filter(pk=token.pk).update(name="locked")
            locked.set()
            done.wait(30)
        connections.close_all()

    holder = threading.Thread(target=hold_the_lock)
    holder.start()
    try:
        assert locked.wait(10)
        started = timezone.now()
        assert factories.bearer(text).get(ME).status_code == 200
        assert timezone.now() - started < timedelta(seconds=2)  # the lock's patience is 20 s
    finally:
        done.set()
        holder.join()
    token.refresh_from_db()
    assert token.last_used_at is None
    assert factories.bearer(text).get(ME).status_code == 200
    token.refresh_from_db()
    assert token.last_used_at is not None


@pytest.mark.django_db
def test_revoking_is_scoped_to_the_owner() -> None:
    from accounts.errors import NoSuchToken

    token, _ = factories.token_of(factories.user())
    with pytest.raises(NoSuchToken):
        token_revoke(factories.user(), token.pk)
