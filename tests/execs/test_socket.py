"""Commands over a WebSocket, on hosts that do what real ones seldom do. tests/e2e has real ones."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.db import connections

from accounts.models import ApiToken
from accounts.services import token_create
from execs import bridge, consumers, flow
from execs.models import Exec
from execs.routing import websocket_urlpatterns
from execwire.frames import Gap, Open, Opened, Resize, Room, Signal, Size, Stdin, StdinEnd, Stream
from jobs import consumers as signed_in
from tests.execs.conftest import Place
from tests.execs.hosts import Hear, Say, ScriptedHost, closed_port, cut, ended, failing, running
from tests.jobs import factories, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
PATIENCE_S = 10
application = URLRouter(websocket_urlpatterns)


class Socket:
    """A client's end of a connection."""

    def __init__(self, job: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        own = [(b"host", b"127.0.0.1:8080"), *(headers or [])]
        self.end = WebsocketCommunicator(application, f"/ws/jobs/{job}/exec", headers=own)
        self.data = {1: b"", 2: b""}
        self.said: list[dict[str, Any]] = []

    async def __aenter__(self) -> Socket:
        assert (await self.end.connect())[0]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end.disconnect()

    async def sign_in(self, owner: Any) -> None:
        _, text = await sync_to_async(token_create)(owner, "test")
        await self.say("auth", token=text)

    async def say(self, kind: str, **fields: Any) -> None:
        await self.end.send_json_to({"type": kind, **fields})

    async def until(self, kind: str) -> dict[str, Any]:
        while not self.said or self.said[-1]["type"] != kind:
            assert await self._hear() is None, self.said
        return self.said[-1]

    async def closed(self) -> int:
        while (code := await self._hear()) is None:
            pass
        return code

    async def _hear(self) -> int | None:
        """The code it is closed with, if that is next."""
        message = await self.end.receive_output(PATIENCE_S)
        if message["type"] == "websocket.close":
            code: int = message["code"]
            return code
        if message.get("bytes") is not None:
            stream, offset = struct.unpack(">BQ", message["bytes"][:9])
            assert offset == len(self.data[stream])
            self.data[stream] += message["bytes"][9:]
        else:
            self.said.append(json.loads(message["text"]))
        return None


@pytest.fixture(autouse=True)
async def connections_closed() -> AsyncIterator[None]:
    yield
    await sync_to_async(connections.close_all)()  # the helper thread's; PostgreSQL drops no database in use


async def place(placed: Place, host: Any, **spec: Any) -> Any:
    return await sync_to_async(placed)(host, **spec)


async def test_output_and_end(placed: Place) -> None:
    with ScriptedHost(ended(b"out", b"err", 3)) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command="x", timeout=9, environment={"A": "b"})
            end = await socket.until("end")
            assert await socket.closed() == 1000
    assert socket.data == {1: b"out", 2: b"err"}
    assert (end["exit_code"], end["reason"], end["stdout_bytes"]) == (3, "exited", 3)
    states = [(told["state"], told["is_joined"]) for told in socket.said if told["type"] == "state"]
    assert states == [("starting", False), ("running", False)]
    row = await sync_to_async(Exec.objects.select_related("token").get)()
    assert (row.pk.hex, row.state, row.origin, row.token and row.token.name) == (
        end["exec_id"], "ended", "socket", "test",
    )  # fmt: skip
    opening = host.openings[0]
    assert (opening.timeout_ms, opening.environment, opening.has_stdin) == (9000, {"A": "b"}, False)


async def test_input_signals_and_sizes_reach_the_host(placed: Place) -> None:
    async def taking(opening: Open, say: Say, hear: Hear) -> None:
        await say(Opened(is_new=True))
        taken = 0
        while not isinstance(frame := await hear(), StdinEnd):
            if isinstance(frame, Stdin):
                taken += len(frame.data)
                await say(Room(len(frame.data)))
        await ended(str(taken).encode())(opening, say, hear)

    with ScriptedHost(taking) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command=None, terminal={"rows": 24, "columns": 80})
            await socket.until("state")
            await socket.say("resize", rows=30, columns=100)
            await socket.say("signal", signal="SIGINT")
            for _ in range(10):
                await socket.end.send_to(bytes_data=b"x" * 60_000)
            await socket.say("eof")
            await socket.until("end")
    assert socket.data[1] == b"600000"
    assert max(told["bytes"] for told in socket.said if told["type"] == "stdin") == 600_000
    assert {Resize(Size(30, 100)), Signal("INT")} <= set(host.heard)
    assert (host.openings[0].terminal, host.openings[0].has_stdin) == (Size(24, 80), True)
    assert (await sync_to_async(Exec.objects.get)()).origin == "terminal"


async def test_one_that_was_cut_is_joined_and_not_started_again(placed: Place) -> None:
    exec_id = "0a" * 16
    with ScriptedHost(cut(b"one"), ended(b"onetwo")) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", exec_id=exec_id, command="x")
            assert await socket.closed() == 4012
        async with Socket(job.pk) as again:
            again.data[1] = socket.data[1]
            await again.sign_in(job.owner)
            await again.say("open", exec_id=exec_id, command="x", stdout_offset=3)
            await again.until("end")
    assert again.data[1] == b"onetwo"
    assert again.said[0]["is_joined"]
    assert [opening.command for opening in host.openings] == [b"x", None]  # it was said to run


async def test_what_is_left_of_one_whose_sandbox_has_ended(placed: Place) -> None:
    with ScriptedHost(ended(b"out")) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command="x")
            end = await socket.until("end")
    await sync_to_async(held.end)(job.agent, await sync_to_async(held.box)(job), "stopped")
    async with Socket(job.pk) as socket:
        await socket.sign_in(job.owner)
        await socket.say("open", exec_id=end["exec_id"])
        assert await socket.until("end") == end
        assert socket.said[-2] == {"type": "gap", "stream": 1, "offset": 0, "bytes": 3}
        assert await socket.closed() == 1000


async def test_what_is_left_of_one_that_its_host_has_forgotten(placed: Place) -> None:
    with ScriptedHost(ended(b"done"), failing("no_exec")) as host:
        job = await place(placed, host)
        exec_id = "cd" * 16
        for stdout in (b"done", b""):
            async with Socket(job.pk) as socket:
                await socket.sign_in(job.owner)
                await socket.say("open", command="x", exec_id=exec_id)
                assert (await socket.until("end"))["exit_code"] == 0
                assert socket.data[1] == stdout
        assert [opening.command for opening in host.openings] == [b"x", None]


async def test_a_host_that_does_not_answer_is_tried_again(
    placed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        job = await place(placed, silent.getsockname()[1])
        async with Socket(job.pk) as end:
            await end.sign_in(job.owner)
            await end.say("open", command="x")
            assert await end.closed() == 4012


async def test_a_gap_is_told(placed: Place) -> None:
    async def gapped(opening: Open, say: Say, hear: Hear) -> None:
        await say(Opened(is_new=True))
        await say(Gap(Stream.STDERR, 0, 5))
        await ended()(opening, say, hear)

    with ScriptedHost(gapped) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command="x")
            assert await socket.until("gap") == {"type": "gap", "stream": 2, "offset": 0, "bytes": 5}


@pytest.mark.parametrize(
    ("play", "code", "slug", "rows"),
    [
        (failing("too_many_execs"), 4012, "too_many_execs", 0),
        ("no_sandbox", 4012, "sandbox_gone", 0),
        (failing("not_started"), 4409, "not_started", 1),
        (failing("host_trouble"), 4012, "host_unreachable", 1),
    ],
)
async def test_refusals(placed: Place, play: Any, code: int, slug: str, rows: int) -> None:
    with ScriptedHost(play) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command="x")
            assert (await socket.until("error"))["code"] == slug
            assert await socket.closed() == code
    assert await sync_to_async(Exec.objects.count)() == rows


@pytest.mark.parametrize(
    "opening",
    [{}, {"command": ""}, {"command": "a\0"}, {"command": 7}, {"command": "x", "exec_id": "X"},
     {"command": "x", "terminal": {"rows": 0, "columns": 1}}, {"command": "x", "stdout_offset": -1},
     {"command": "x", "environment": {"1": "x"}}, {"command": "x", "timeout": 0}],
)  # fmt: skip
async def test_bad_openings(placed: Place, opening: dict[str, Any]) -> None:
    job = await place(placed, closed_port())
    async with Socket(job.pk) as socket:
        await socket.sign_in(job.owner)
        await socket.say("open", **opening)
        assert (await socket.until("error"))["code"] == "bad_message"
        assert await socket.closed() == 4400
    assert not await sync_to_async(Exec.objects.exists)()


async def test_who_may_not(placed: Place) -> None:
    with ScriptedHost(ended()) as host:
        job = await place(placed, host)
        stranger = await sync_to_async(factories.user)()
        async with Socket(job.pk) as socket:
            await socket.sign_in(stranger)
            await socket.say("open", command="x")
            assert await socket.closed() == 4404
        async with Socket(
            job.pk, [(b"origin", b"http://elsewhere"), (b"cookie", b"mags_session=x")]
        ) as socket:
            await socket.say("auth", token="mags_other")
            await socket.say("open", command="x")
            assert await socket.closed() == 4401
    assert not host.openings


async def test_another_accounts_exec_is_not_to_be_joined(placed: Place) -> None:
    with ScriptedHost(ended(b"secret")) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command="x")
            known = (await socket.until("end"))["exec_id"]
        stranger = await sync_to_async(factories.user)()
        other = await sync_to_async(held.idle)(job.agent, stranger, "theirs")
        for opening, slug in (({}, "exec_not_found"), ({"command": "x"}, "exec_id_taken")):
            async with Socket(other.pk) as socket:
                await socket.sign_in(stranger)
                await socket.say("open", exec_id=known, **opening)
                assert (await socket.until("error"))["code"] == slug
                assert socket.data[1] == b""


async def test_a_revoked_token_ends_it(placed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_in, "RECHECK_S", 0.1)
    monkeypatch.setattr(consumers, "RECHECK_S", 0.1)
    with ScriptedHost(running(b"x")) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command="x")
            await socket.until("state")
            await sync_to_async(ApiToken.objects.all().delete)()
            assert await socket.closed() == 4401


async def test_more_input_than_anybody_takes(placed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "INPUT_LIMIT_BYTES", 1000)
    job = await place(placed, closed_port())
    async with Socket(job.pk) as socket:
        await socket.sign_in(job.owner)
        await socket.end.send_to(bytes_data=b"x" * 1001)
        assert (await socket.until("error"))["code"] == "input_overflow"
        assert await socket.closed() == 4400


@pytest.mark.parametrize("message", [{"type": "signal", "signal": "STOP"}, {"type": "resize", "rows": "x"}])
async def test_odd_messages(placed: Place, message: dict[str, Any]) -> None:
    with ScriptedHost(running()) as host:
        job = await place(placed, host)
        async with Socket(job.pk) as socket:
            await socket.sign_in(job.owner)
            await socket.say("open", command="x")
            await socket.say("unheard_of", value=1)
            await socket.until("state")
            await socket.end.send_json_to(message)
            assert (await socket.until("error"))["code"] == "bad_message"
            assert await socket.closed() == 4400
