"""The agent puts real sandboxes to sleep and wakes them, with a real data port beside it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from execwire.frames import Size
from gateway.dial import dial
from gateway.errors import GatewayError
from hostagent import control
from hostagent.config import Config
from hostagent.linux import cgroup
from tests.agent.bucket import Bucket
from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.fake_sandboxes import FakeSandbox, FakeWorkspace
from tests.agent.processes import AgentProcess
from tests.privileged.data_ports import Ported, data_port
from tests.privileged.execs import Caller, opening
from tests.privileged.test_keeper import bucket, end, kept_agent, kept_plane, says  # noqa: F401 - fixtures

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON: dict[str, Any] = {"idle_s": 0.3, "cpu_percent": 20.0, "stop_s": None, "with_runs": False}
SOON_STOPPED = SOON | {"stop_s": 0.3}
# How often these are done in one run: more by these variables.
WAKES = int(os.environ.get("SLEEP_WAKES", "5"))
RACES = int(os.environ.get("SLEEP_RACES", "10"))
PORT = 9001
# Answers each connection with what it sent.
SERVER = f"""setsid python3 -c '
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1024):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.request_queue_size = 512
server = socketserver.ThreadingTCPServer(("127.0.0.1", {PORT}), Echo)
open("/tmp/serving", "w").close()
server.serve_forever(3600)
' > /dev/null 2>&1 < /dev/null &
until [ -e /tmp/serving ]; do sleep 0.02; done"""


@dataclass
class Bench:
    """One host with an agent and a data port, and its control plane."""

    plane: FakeControlPlane
    agent: AgentProcess
    ported: Ported

    async def serving(self, workspace: FakeWorkspace | None = None, **wish: Any) -> FakeSandbox:
        """A sandbox with a server in it, whose script is over."""
        sandbox = await self.plane.hold(workspace, **wish)
        await says(self.plane, sandbox, SERVER)
        return sandbox

    async def echo(self, sandbox: FakeSandbox, data: bytes = b"hello") -> bytes:
        async with self.connected(sandbox) as talk:
            return await talk(data)

    @contextlib.asynccontextmanager
    async def connected(self, sandbox: FakeSandbox) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        sock, _ = await dial(self.ported.target(sandbox.id, PORT), 5, 40)

        async def talk(data: bytes) -> bytes:
            await loop.sock_sendall(sock, data)
            async with asyncio.timeout(20):
                return await loop.sock_recv(sock, 1024)

        with sock:
            yield talk

    async def naps(self, sandbox: FakeSandbox, number: int) -> list[str]:
        """What was told of sleep and wake, once there is so much of it."""
        await self.plane.wait(lambda: len(sandbox.naps) >= number)
        return [nap.get("cause", nap["state"]) for nap in sandbox.naps]

    def is_frozen(self, sandbox: FakeSandbox) -> bool:
        return cgroup.is_frozen(cgroup.detect(), f"{self.ported.config.instance}/{sandbox.id}")

    def caller(self, sandbox: FakeSandbox) -> Caller:
        return Caller(self.ported.signer, sandbox.id, self.ported.port.port)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(config: Config, bucket: Bucket) -> AsyncIterator[Bench]:  # noqa: F811
    async with kept_plane(bucket) as plane, kept_agent(config, plane) as agent, data_port(config) as ported:
        key = ported.signer.key.public_key().public_bytes_raw()
        plane.ticket_keys = {ported.signer.kid: base64.b64encode(key).decode()}
        await agent.start()
        yield Bench(plane, agent, ported)


async def test_sleeps_and_is_woken_by_a_connection(bench: Bench) -> None:
    sandbox = await bench.serving(sleep=SOON)
    assert await bench.naps(sandbox, 1) == ["asleep"]
    assert bench.is_frozen(sandbox)
    evidence = sandbox.naps[0]["evidence"]
    assert (evidence["connections"], evidence["execs"], evidence["runs"]) == (0, 0, 0)
    assert evidence["idle_ms"] >= 300
    assert evidence["window_ms"] >= 300
    assert evidence["cpu_ms"] < 0.2 * evidence["window_ms"]
    echoes = await asyncio.gather(*(bench.echo(sandbox, b"%03d" % number) for number in range(100)))
    assert echoes == [b"%03d" % number for number in range(100)]
    assert await bench.naps(sandbox, 3) == ["asleep", "connection", "asleep"]
    await end(bench.plane, sandbox)


async def test_wake_by_wake(bench: Bench) -> None:
    """How long a visitor waits who comes to one that sleeps: `SLEEP_WAKES=50 pytest -s`."""
    sandbox = await bench.serving(sleep=SOON | {"idle_s": 0.1})
    took_ms = []
    for number in range(WAKES):
        await bench.naps(sandbox, 2 * number + 1)
        begun = time.monotonic()
        assert await bench.echo(sandbox) == b"hello"
        took_ms.append((time.monotonic() - begun) * 1000)
    print(f"woken through the data port in ms: p50 {statistics.median(took_ms):.1f}, max {max(took_ms):.1f}")
    await end(bench.plane, sandbox)


async def test_requests_race_with_the_freeze(bench: Bench) -> None:
    """They come when it is about to fall asleep. Each is answered."""
    sandbox = await bench.serving(sleep=SOON | {"idle_s": 0.05})
    for _ in range(RACES):
        await asyncio.sleep(random.uniform(0.03, 0.08))
        assert await bench.echo(sandbox) == b"hello"
        assert (await bench.caller(sandbox).run("echo executed")).stdout == b"executed\n"
    assert await says(bench.plane, sandbox, "echo ran") == "ran\n"
    await end(bench.plane, sandbox)


async def test_silent_connection_keeps_it_awake(bench: Bench) -> None:
    sandbox = await bench.serving(sleep=SOON)
    await bench.naps(sandbox, 1)
    async with bench.connected(sandbox) as talk:
        assert await talk(b"one") == b"one"
        await bench.naps(sandbox, 2)
        await bench.plane.wish(sandbox, sleep=SOON | {"idle_s": 0.05})
        with pytest.raises(TimeoutError):
            await bench.plane.wait(lambda: len(sandbox.naps) > 2, timeout_s=0.7)
        assert await talk(b"two") == b"two"
    assert (await bench.naps(sandbox, 3))[2:] == ["asleep"]
    await end(bench.plane, sandbox)


async def test_terminal_whose_window_was_closed_lets_it_sleep(bench: Bench) -> None:
    sandbox = await bench.serving()
    caller, shell = bench.caller(sandbox), opening("tty; cat", terminal=Size(24, 80))
    async with caller.opened(shell) as reader:
        await reader.until(b"/dev/pts/")
        await bench.plane.wish(sandbox, sleep=SOON)
        with pytest.raises(TimeoutError):
            await bench.plane.wait(lambda: len(sandbox.naps) > 0, timeout_s=0.7)
    assert await bench.naps(sandbox, 1) == ["asleep"]
    async with caller.opened(shell) as reader:
        await reader.until(b"/dev/pts/")  # it goes on as if nothing had been
        await bench.naps(sandbox, 2)
    await end(bench.plane, sandbox)


async def test_run_exec_and_wishes_wake(bench: Bench) -> None:
    plane = bench.plane
    sandbox = await bench.serving(sleep=SOON)
    await bench.naps(sandbox, 1)
    assert await says(plane, sandbox, "echo ran") == "ran\n"
    await bench.naps(sandbox, 3)
    result = await bench.caller(sandbox).run("echo executed")
    assert (result.end.exit_code, bytes(result.stdout)) == (0, b"executed\n")
    await bench.naps(sandbox, 5)
    await plane.wish(sandbox, wake=1)
    await bench.naps(sandbox, 7)
    await plane.wish(sandbox, sleep=None)
    woken_by = (await bench.naps(sandbox, 8))[1::2]
    assert woken_by == ["run", "exec", "wish", "wish"]
    assert not bench.is_frozen(sandbox)
    await end(plane, sandbox)


async def test_script_that_counts_keeps_it_awake_and_one_that_does_not_is_frozen(bench: Bench) -> None:
    plane = bench.plane
    counting = await plane.hold(sleep=SOON)
    frozen = await plane.hold(sleep=SOON | {"with_runs": True})
    runs = [await plane.run(sandbox, "echo up; sleep 300") for sandbox in (counting, frozen)]
    await bench.naps(frozen, 1)
    assert frozen.naps[0]["evidence"]["runs"] == 1
    assert counting.naps == []
    await plane.wish_stop(runs[1])  # it gets its SIGTERM, frozen as it was
    assert (await plane.finished(runs[1]))["outcome"] == "stopped"
    assert (await bench.naps(frozen, 2))[1] == "run"
    await bench.naps(frozen, 3)
    for sandbox in (counting, frozen):
        await end(plane, sandbox)


async def test_busy_sandbox_does_not_sleep(bench: Bench) -> None:
    sandbox = await bench.plane.hold(sleep=SOON | {"cpu_percent": 1.0})  # where many others are busy, too
    await says(bench.plane, sandbox, "setsid sh -c 'while :; do :; done' > /dev/null 2>&1 < /dev/null & :")
    with pytest.raises(TimeoutError):
        await bench.plane.wait(lambda: sandbox.naps, timeout_s=0.7)
    await end(bench.plane, sandbox)


async def test_is_saved_before_it_sleeps_and_stopped_after(bench: Bench) -> None:
    workspace = FakeWorkspace()
    sandbox = await bench.plane.hold(workspace, sleep=SOON)
    await says(bench.plane, sandbox, "echo kept > /root/file")
    await bench.naps(sandbox, 1)
    assert [version["reason"] for version in workspace.versions] == ["checkpoint"]
    await bench.plane.synced(sandbox)  # of a frozen one
    assert bench.is_frozen(sandbox)
    await bench.plane.wish(sandbox, disk_gb=2)
    await bench.plane.wish(sandbox, sleep=SOON_STOPPED)
    ended = await bench.plane.ended(sandbox)
    assert (ended["reason"], ended["message"]) == ("idle", "")
    assert sandbox.ending is not None
    assert len(workspace.versions) == 1  # the end needed none of its own
    again = await bench.plane.hold(workspace)
    assert await says(bench.plane, again, "cat /root/file") == "kept\n"
    await end(bench.plane, again)


async def test_does_not_sleep_while_its_files_cannot_be_saved(bench: Bench) -> None:
    workspace = FakeWorkspace()
    bench.plane.held.commits_failing = 10**6
    sandbox = await bench.plane.hold(workspace, sleep=SOON)
    await says(bench.plane, sandbox, "echo kept > /root/file")
    await bench.plane.wait(lambda: bench.plane.held.commits_failing < 10**6 - 2)
    assert sandbox.naps == []
    bench.plane.held.commits_failing = 0
    await bench.naps(sandbox, 1)
    assert len(workspace.versions) == 1
    await end(bench.plane, sandbox)


async def test_what_is_not_saved_is_never_stopped(bench: Bench) -> None:
    sandbox = await bench.plane.hold(sleep=SOON_STOPPED)
    await bench.naps(sandbox, 1)
    with pytest.raises(TimeoutError):
        await bench.plane.ended(sandbox, timeout_s=0.7)
    await end(bench.plane, sandbox)


async def test_end_is_wished_of_a_frozen_one(bench: Bench) -> None:
    workspace = FakeWorkspace()
    sandbox = await bench.serving(workspace, sleep=SOON)
    await bench.naps(sandbox, 1)
    await end(bench.plane, sandbox)
    assert sandbox.ended is not None
    assert sandbox.ended["reason"] == "stopped"
    assert len(workspace.versions) == 1


async def test_wake_that_comes_too_late_is_told_so(bench: Bench) -> None:
    workspace = FakeWorkspace()
    sandbox = await bench.serving(workspace, sleep=SOON_STOPPED)
    await bench.plane.wait(lambda: sandbox.ending is not None)
    with pytest.raises(GatewayError) as refused:
        await bench.echo(sandbox)
    assert refused.value.code in ("no_sandbox", "not_awake")  # both: ask the control plane again
    await bench.plane.ended(sandbox)


async def test_stop_races_with_requests(bench: Bench) -> None:
    """Each request is answered by the sandbox, or it is said that it is over: none waits in vain."""
    sandbox = await bench.serving(FakeWorkspace(), sleep=SOON | {"idle_s": 0.1, "stop_s": 0.05})
    answers: list[str] = []
    while sandbox.ended is None:
        try:
            answers.append((await bench.echo(sandbox, b"answer")).decode())
        except (GatewayError, OSError) as error:
            answers.append(getattr(error, "code", type(error).__name__))
        await asyncio.sleep(0.1 + 0.02 * len(answers))  # longer and longer: the stop wins in the end
    assert sandbox.ended["reason"] == "idle"
    assert answers[0] == "answer"
    assert set(answers) <= {"answer", "no_sandbox", "not_awake"}


async def test_data_port_that_is_away_lets_nothing_sleep(bench: Bench) -> None:
    away = bench.agent.state_dir / "data-port" / control.SOCKET
    moved = away.rename(away.with_suffix(".away"))
    sandbox = await bench.plane.hold(sleep=SOON)
    await bench.plane.wait(lambda: sandbox.running)
    with pytest.raises(TimeoutError):
        await bench.plane.wait(lambda: sandbox.naps, timeout_s=0.7)
    moved.rename(away)
    await bench.naps(sandbox, 1)
    await end(bench.plane, sandbox)


async def test_status_says_who_sleeps(bench: Bench) -> None:
    sandbox = await bench.plane.hold(sleep=SOON)
    await bench.naps(sandbox, 1)
    status = await control.ask(bench.agent.state_dir, "status")
    assert [one["asleep"] for one in status["sandboxes"]] == [True]
    await end(bench.plane, sandbox)
