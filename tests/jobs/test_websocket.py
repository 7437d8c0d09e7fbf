"""The WebSockets of docs/reference/websocket.md, on a real Redis and without one."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connections
from django.test import Client

from accounts.models import ApiToken
from accounts.services import token_create
from jobs import consumers, logs
from jobs.models import Job
from jobs.routing import websocket_urlpatterns
from jobs.services import job_update
from tests.jobs import factories
from tests.jobs.factories import Agent, finished, lease_of, log, started

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
PATIENCE_S = 5
application = URLRouter(websocket_urlpatterns)
OWN_ORIGIN = (b"origin", b"http://127.0.0.1:8080")
HOST = (b"host", b"127.0.0.1:8080")


class Socket:
    """A client's end of a connection."""

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.end = WebsocketCommunicator(application, path, headers=[HOST, *(headers or [])])

    async def __aenter__(self) -> Socket:
        assert (await self.end.connect())[0]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end.disconnect()

    async def sign_in(self, owner: Any) -> None:
        _, text = await sync_to_async(token_create)(owner, "test")
        await self.say({"type": "auth", "token": text})

    async def say(self, message: dict[str, Any]) -> None:
        await self.end.send_json_to(message)

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.end.receive_json_from(PATIENCE_S)
        return message

    async def until(self, kind: str) -> list[dict[str, Any]]:
        heard = [await self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(await self.hear())
        return heard

    async def closed(self) -> int:
        """With which code, after an error message or none."""
        message = await self.end.receive_output(PATIENCE_S)
        if message["type"] == "websocket.send" and json.loads(message["text"])["type"] == "error":
            message = await self.end.receive_output(PATIENCE_S)
        assert message["type"] == "websocket.close", message
        code: int = message["code"]
        return code


@pytest.fixture
async def owner() -> AsyncIterator[Any]:
    yield await sync_to_async(factories.user)()
    await sync_to_async(connections.close_all)()  # the helper thread's; PostgreSQL drops no database in use


def output(heard: list[dict[str, Any]]) -> bytes:
    batches = [message["entries"] for message in heard if message["type"] == "logs"]
    return b"".join(logs.entry_bytes(entry) for batch in batches for entry in batch)


async def test_replay_live_and_end(owner: Any) -> None:
    agent = await sync_to_async(Agent)()
    job = await sync_to_async(factories.job)(owner, name="build")
    lease = await sync_to_async(lease_of)(job)
    await sync_to_async(agent.report)(started(lease), log(lease, 0, b"one\ntwo\n"))
    async with Socket("/ws/jobs/build/logs?offset=4") as socket:
        await socket.sign_in(owner)
        status, replay = await socket.hear(), await socket.hear()
        assert (status["type"], status["job"]["status"], status["job"]["id"]) == (
            "status",
            "running",
            str(job.pk),
        )
        assert ([entry["message"] for entry in replay["entries"]], replay["next_offset"]) == (["two"], 8)
        await sync_to_async(agent.report)(log(lease, 8, b"live\n"))
        assert (await socket.hear())["entries"][0]["message"] == "live"
        await sync_to_async(job_update)(await sync_to_async(Job.objects.get)(pk=job.pk), name="other")
        assert (await socket.hear())["job"]["name"] == "other"
        await sync_to_async(agent.report)(log(lease, 13, b"last"), finished(lease, 17, exit_code=5))
        heard = await socket.until("end")
        assert [message["type"] for message in heard] == ["status", "logs", "end"]
        assert heard[1]["entries"][0]["partial"] is True
        assert (heard[2]["job"]["status"], heard[2]["job"]["exit_code"]) == ("completed", 5)
        assert await socket.closed() == 1000


async def test_a_stranger_sees_what_everybody_sees_of_nothing(owner: Any) -> None:
    theirs = await sync_to_async(factories.job)(name="theirs")
    for reference in (theirs.pk, "theirs", "none"):
        async with Socket(f"/ws/jobs/{reference}/logs") as socket:
            await socket.sign_in(owner)
            assert await socket.closed() == 4404


async def test_a_bad_token_is_refused(owner: Any) -> None:
    async with Socket("/ws/jobs") as socket:
        await socket.say({"type": "auth", "token": "mags_other"})
        assert await socket.closed() == 4401


async def test_silence_is_refused(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "SIGN_IN_S", 0.05)
    async with Socket("/ws/jobs") as socket:
        assert await socket.closed() == 4401


@pytest.mark.parametrize("text", ["x", "[]", "7", '{"type": "auth"'])
async def test_what_is_no_object_is_refused(owner: Any, text: str) -> None:
    async with Socket("/ws/jobs") as socket:
        await socket.end.send_to(text_data=text)
        assert await socket.closed() == 4400


async def test_odd_messages_and_offsets(owner: Any) -> None:
    job = await sync_to_async(factories.job)(owner)
    async with Socket(f"/ws/jobs/{job.pk}/logs") as socket:
        await socket.say({"type": "auth", "token": 7})
        await socket.say({"type": "ack", "offset": 5})
        await socket.sign_in(owner)
        assert (await socket.hear())["type"] == "status"
        for offset in (-1, 10**30, True, "1", None):
            await socket.say({"type": "ack", "offset": offset})
        await socket.say({"type": "other"})
        await sync_to_async(job_update)(job, name="still-there")
        assert (await socket.hear())["job"]["name"] == "still-there"
    async with Socket(f"/ws/jobs/{job.pk}/logs?offset=-1") as socket:
        await socket.sign_in(owner)
        assert await socket.closed() == 4400


def cookie_of(owner: Any) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(owner)
    return (
        b"cookie",
        f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode(),
    )


async def test_a_session_counts_on_our_own_pages(owner: Any) -> None:
    cookie = await sync_to_async(cookie_of)(owner)
    async with Socket("/ws/jobs", [cookie, OWN_ORIGIN]) as socket:
        assert (await socket.hear())["type"] == "ready"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"origin", b"http://evil.example")],
        [(b"origin", b"http://127.0.0.1:9999")],
        [(b"origin", b"null")],
        [(b"origin", b"http://evil.example"), (b"host", b"evil.example")],
    ],
)
async def test_a_session_of_another_page_does_not_count(
    owner: Any, headers: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SIGN_IN_S", 0.05)
    cookie = await sync_to_async(cookie_of)(owner)
    async with Socket("/ws/jobs", [cookie, *headers]) as socket:
        assert await socket.closed() == 4401


async def test_a_revoked_token_and_an_ended_session_are_noticed(owner: Any) -> None:
    cookie = await sync_to_async(cookie_of)(owner)
    job = await sync_to_async(factories.job)(owner)
    async with Socket("/ws/jobs", [cookie, OWN_ORIGIN]) as one, Socket(f"/ws/jobs/{job.pk}/logs") as other:
        await other.sign_in(owner)
        assert (await one.hear())["type"] == "ready"
        assert (await other.hear())["type"] == "status"
        await sync_to_async(ApiToken.objects.all().delete)()
        owner.set_password("another")
        await sync_to_async(owner.save)()
        assert await asyncio.gather(one.closed(), other.closed()) == [4401, 4401]


async def test_a_client_that_acknowledges_is_never_far_behind(owner: Any) -> None:
    agent = await sync_to_async(Agent)()
    job = await sync_to_async(factories.job)(owner)
    lease = await sync_to_async(lease_of)(job)
    mib, record = 2**20, [0, 1, 2**16]
    sent = (b"x" * 1023 + b"\n") * 1024
    for i in range(3):
        await sync_to_async(agent.report)(log(lease, i * mib, sent, [record] * 16))
    await sync_to_async(agent.report)(finished(lease, 3 * mib))
    heard: list[dict[str, Any]] = []
    async with Socket(f"/ws/jobs/{job.pk}/logs") as socket:
        await socket.sign_in(owner)
        await socket.hear()
        await socket.say({"type": "ack", "offset": 0})
        while not await socket.end.receive_nothing(0.3):
            heard.append(await socket.hear())
        ahead = heard[-1]["next_offset"]
        assert mib // 2 < ahead <= mib + 2**16
    async with Socket(f"/ws/jobs/{job.pk}/logs?offset={ahead}") as socket:
        await socket.sign_in(owner)
        while (message := await socket.hear())["type"] != "end":
            heard.append(message)
            if message["type"] == "logs":
                assert len(output([message])) <= 2**18
                await socket.say({"type": "ack", "offset": message["next_offset"]})
    assert output(heard) == sent * 3


async def test_a_client_that_never_acknowledges_is_cut_off(
    owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "WINDOW_SILENT_BYTES", 1000)
    agent = await sync_to_async(Agent)()
    job = await sync_to_async(factories.job)(owner)
    lease = await sync_to_async(lease_of)(job)
    await sync_to_async(agent.report)(log(lease, 0, b"y" * 5000, [[0, 1, 500]] * 10))
    async with Socket(f"/ws/jobs/{job.pk}/logs") as socket:
        await socket.sign_in(owner)
        heard = [await socket.hear() for _ in range(3)]
        assert len(output(heard)) > 1000
        assert await socket.closed() == 4008


async def test_many_small_appends_are_told_together(owner: Any) -> None:
    agent = await sync_to_async(Agent)()
    job = await sync_to_async(factories.job)(owner)
    lease = await sync_to_async(lease_of)(job)
    async with Socket(f"/ws/jobs/{job.pk}/logs") as socket:
        await socket.sign_in(owner)
        await socket.hear()
        began = asyncio.get_running_loop().time()
        for i in range(100):
            await sync_to_async(agent.report)(log(lease, i * 2, b"x\n"))
        await sync_to_async(agent.report)(finished(lease, 200))
        heard = await socket.until("end")
        seconds = asyncio.get_running_loop().time() - began
    assert output(heard) == b"x\n" * 100
    assert len(heard) <= seconds * 50 + 3


async def test_the_list_is_told_of_changes_of_ones_own_jobs(owner: Any) -> None:
    agent = await sync_to_async(Agent)()
    old = await sync_to_async(factories.job)(owner)
    async with Socket("/ws/jobs") as socket:
        await socket.sign_in(owner)
        assert (await socket.hear())["type"] == "ready"
        await sync_to_async(factories.job)(name="theirs")
        mine = await sync_to_async(factories.job)(owner, name="mine")
        heard = await socket.hear()
        assert (heard["type"], heard["job"]["id"], heard["job"]["name"]) == ("job", str(mine.pk), "mine")
        await sync_to_async(agent.run)(old)
        heard = await socket.hear()
        assert (heard["job"]["id"], heard["job"]["status"]) == (str(old.pk), "completed")


async def test_without_redis_it_is_only_slower(owner: Any, redis: Any) -> None:
    agent = await sync_to_async(Agent)()
    job = await sync_to_async(factories.job)(owner)
    lease = await sync_to_async(lease_of)(job)
    redis.stop(signal.SIGKILL)
    try:
        async with Socket(f"/ws/jobs/{job.pk}/logs") as socket:
            await socket.sign_in(owner)
            assert (await socket.hear())["type"] == "status"
            await sync_to_async(agent.report)(started(lease), log(lease, 0, b"dark\n"), finished(lease, 5))
            assert output(await socket.until("end")) == b"dark\n"
    finally:
        await asyncio.to_thread(redis.start)
