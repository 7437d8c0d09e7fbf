"""The agent is killed (SIGKILL) at every step of a lease's life; the next one goes on. The script ran at most
once, its exit code is true, each byte of its output is stored once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.agent.drivers import ScriptDriver
from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.processes import AgentProcess

SCRIPT = "echo ran >> $RUNS; echo out; echo err >&2; seq 20000; exit 7"
STDOUT = b"out\n" + b"".join(b"%d\n" % n for n in range(1, 20001))

POINTS = [
    "before journal accepted", "after journal accepted",
    "before driver create", "after driver create",
    "before journal starting", "after journal starting",
    "before driver start", "after driver start",
    "before journal started", "after journal started",
    "before report started", "after report started",
    "before checkpoint", "after checkpoint",
    "before report log", "after report log",
    "before driver wait", "after driver wait",
    "before journal exited", "after journal exited",
    "before report finished", "after report finished",
    "before driver destroy", "after driver destroy",
    "before forget", "after forget",
]  # fmt: skip


@pytest_asyncio.fixture
async def process(plane: FakeControlPlane, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    process = AgentProcess(tmp_path / "state", plane.url)
    yield process
    await process.signal(signal.SIGKILL)
    await ScriptDriver(tmp_path / "state" / "sandboxes").close(everything=True)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(
    process: AgentProcess, plane: FakeControlPlane, tmp_path: Path, runs: Callable[[], int], point: str
) -> None:
    await process.start(dies=point)
    lease = await plane.submit(SCRIPT, environment={"RUNS": str(tmp_path / "runs")})
    assert await process.ended() == -signal.SIGKILL
    await process.start()
    end = await plane.finished(lease)
    await process.until_clean()
    assert runs() == 1
    assert (end["outcome"], end["exit_code"]) == ("exited", 7)
    assert lease.by_stream(1) == STDOUT
    assert lease.by_stream(2) == b"err\n"
    assert lease.started is not None


async def test_killed_in_the_middle_of_a_flood(
    process: AgentProcess, plane: FakeControlPlane, tmp_path: Path, runs: Callable[[], int]
) -> None:
    """What is kept of a flood is decided by the spool alone: both agents derive the same bytes."""
    await process.start()
    script = "echo ran >> $RUNS; seq 3000000; echo end"
    lease = await plane.submit(script, environment={"RUNS": str(tmp_path / "runs")})
    for stored in (1, 200_000, 500_000):
        await plane.wait(lambda stored=stored: len(lease.log) >= stored or lease.finished)  # type: ignore[misc]
        await process.signal(signal.SIGKILL)
        await process.start()
    end = await plane.finished(lease)
    await process.until_clean()
    kept = lease.by_stream(1) + lease.by_stream(2)
    produced = len(b"".join(b"%d\n" % n for n in range(1, 3_000_001))) + len(b"end\n")
    assert runs() == 1
    assert len(kept) + end["dropped_bytes"] == produced
    assert end["dropped_bytes"] > 0
    assert kept.endswith(b"2999999\n3000000\nend\n")
    numbers = [int(line) for line in kept.split() if line != b"end"]
    assert numbers == sorted(set(numbers)), "a line came twice or out of its place"


async def test_killed_while_the_script_runs(
    process: AgentProcess, plane: FakeControlPlane, tmp_path: Path
) -> None:
    """The script does not notice: it writes on without an agent, and nothing of it is missing."""
    await process.start()
    go = tmp_path / "go"
    script = f"for i in $(seq 500); do echo $i; done; until [ -e {go} ]; do sleep 0.02; done; echo late"
    lease = await plane.submit(script)
    await plane.wait(lambda: lease.text.endswith("\n500\n"))
    await process.signal(signal.SIGKILL)
    go.touch()
    await process.start()
    end = await plane.finished(lease)
    assert end["exit_code"] == 0
    assert lease.text == "".join(f"{n}\n" for n in range(1, 501)) + "late\n"


async def test_sigterm_detaches(process: AgentProcess, plane: FakeControlPlane) -> None:
    await process.start()
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    assert await process.signal(signal.SIGTERM) == 0
    assert lease.finished is None
    await process.start()
    await plane.wish_stop(lease)
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"], lease.text) == ("stopped", 143, "up\n")


async def test_second_agent_on_the_same_state_is_refused(
    process: AgentProcess, plane: FakeControlPlane
) -> None:
    await process.start()
    await plane.wait(lambda: plane.beats)
    second = AgentProcess(process.state_dir, plane.url)
    await second.start()
    assert await second.ended() == 1
    assert plane.boot_epoch == 1


async def test_newer_boot_ends_the_agent_and_leaves_the_sandboxes(
    process: AgentProcess, plane: FakeControlPlane, tmp_path: Path
) -> None:
    await process.start()
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    plane.boot_epoch += 1
    assert await process.ended() == 75
    found = await ScriptDriver(tmp_path / "state" / "sandboxes").find()
    assert [f.phase for f in found] == ["running"]


async def test_sigusr1_drains_and_work_goes_on(process: AgentProcess, plane: FakeControlPlane) -> None:
    await process.start()
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    assert process._process is not None
    process._process.send_signal(signal.SIGUSR1)
    await plane.wait(lambda: plane.beats[-1]["draining"])
    assert plane.beats[-1]["running"] == 1
    await process.signal(signal.SIGKILL)
    beats = len(plane.beats)
    await process.start()
    await plane.wait(lambda: len(plane.beats) > beats and plane.beats[-1]["draining"])
    await plane.wish_stop(lease)
    await plane.finished(lease)
