"""/ws/live: who may listen, and what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connections, transaction
from django.test import Client

from accounts.models import User
from accounts.services import token_create
from core.live import Topic, tell
from dashboard.routing import websocket_urlpatterns
from jobs import consumers
from tests.accounts.factories import user
from tests.jobs import factories, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
PATIENCE_S = 5
ORIGIN = (b"origin", b"http://127.0.0.1:8080")
HOST = (b"host", b"127.0.0.1:8080")


@pytest.fixture
async def owner() -> AsyncIterator[User]:
    yield await sync_to_async(user)()
    await sync_to_async(connections.close_all)()


def cookie_of(owner: User) -> tuple[tuple[bytes, bytes], Client]:
    client = Client()
    client.force_login(owner)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    return (b"cookie", f"{settings.SESSION_COOKIE_NAME}={value}".encode()), client


async def connected(*headers: tuple[bytes, bytes]) -> WebsocketCommunicator:
    end = WebsocketCommunicator(URLRouter(websocket_urlpatterns), "/ws/live", headers=[HOST, *headers])
    assert (await end.connect())[0]
    return end


async def signed_in(owner: User) -> tuple[WebsocketCommunicator, Client]:
    cookie, client = await sync_to_async(cookie_of)(owner)
    end = await connected(cookie, ORIGIN)
    assert await end.receive_json_from(PATIENCE_S) == {"type": "ready"}
    return end, client


def told(*topics: str) -> dict[str, Any]:
    return {"type": "changed", "changed": list(topics)}


async def test_a_change_is_told_to_its_owner_only(owner: User) -> None:
    end, _ = await signed_in(owner)
    other, _ = await signed_in(await sync_to_async(user)())
    await sync_to_async(factories.job)(owner)
    assert await end.receive_json_from(PATIENCE_S) == told("jobs")
    assert await other.receive_nothing()
    await end.disconnect()
    await other.disconnect()


async def test_a_job_that_enters_a_sandbox_is_told_to_the_pages_of_it(owner: User) -> None:
    """They say by which job the workspace is used."""
    await sync_to_async(lambda: held.idle(factories.Agent(), owner, "w"))()
    end, _ = await signed_in(owner)
    await sync_to_async(held.job)(owner, "w")
    assert "sandboxes" in (await end.receive_json_from(PATIENCE_S))["changed"]
    await end.disconnect()


async def test_a_burst_is_one_message(owner: User) -> None:
    end, _ = await signed_in(owner)

    def burst() -> None:
        for _ in range(50):
            tell(owner.pk, Topic.SANDBOXES, Topic.FILES)

    await sync_to_async(tell)(owner.pk, Topic.JOBS)  # told at once; the burst falls into the pause after it
    await sync_to_async(burst)()
    heard = [await end.receive_json_from(PATIENCE_S)]
    while "files" not in heard[-1]["changed"]:
        heard.append(await end.receive_json_from(PATIENCE_S))
    assert len(heard) <= 2
    assert {topic for message in heard for topic in message["changed"]} == {"jobs", "files", "sandboxes"}
    assert await end.receive_nothing()
    await end.disconnect()


async def test_what_was_rolled_back_is_not_told(owner: User) -> None:
    end, _ = await signed_in(owner)

    def undone() -> None:
        with transaction.atomic():
            tell(owner.pk, Topic.JOBS)
            transaction.set_rollback(True)

    await sync_to_async(undone)()
    await sync_to_async(tell)(owner.pk, Topic.USAGE)
    assert await end.receive_json_from(PATIENCE_S) == told("usage")
    await end.disconnect()


async def test_only_the_session_from_our_own_pages_opens_it(owner: User) -> None:
    cookie, _ = await sync_to_async(cookie_of)(owner)
    _, text = await sync_to_async(token_create)(owner, "test")
    for headers in ([cookie], [cookie, (b"origin", b"https://evil.example")], [ORIGIN]):
        end = await connected(*headers)
        await end.send_json_to({"type": "auth", "token": text})
        message = await end.receive_output(PATIENCE_S)
        assert (message["type"], message["code"]) == ("websocket.close", 4401)


@pytest.mark.parametrize("how", ["signed out", "deactivated"])
async def test_it_ends_with_the_session(owner: User, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECHECK_S", 0.05)
    end, client = await signed_in(owner)
    if how == "signed out":
        await sync_to_async(client.logout)()
    else:
        await sync_to_async(User.objects.filter(pk=owner.pk).update)(is_active=False)
    message = await end.receive_output(PATIENCE_S)
    assert (message["type"], message["code"]) == ("websocket.close", 4401)
