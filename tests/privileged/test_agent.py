"""The agent with real sandboxes: killed around a start, told to stop, flooded."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.processes import AgentProcess
from tests.privileged.leaks import no_leaks

POINTS = [
    "after driver create",
    "after journal starting",
    "before runtime start",
    "after runtime start",
    "after journal started",
    "after driver wait",
    "after journal exited",
    "before driver destroy",
]


@pytest_asyncio.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    plane = FakeControlPlane()
    await plane.start()
    yield plane
    await plane.stop()
    assert plane.violations == []


@pytest_asyncio.fixture
async def agent(config: Config, plane: FakeControlPlane) -> AsyncIterator[AgentProcess]:
    agent = AgentProcess(config.state_dir, plane.url, config)
    yield agent
    await agent.signal(signal.SIGTERM)
    driver = OciDriver(config)
    await driver.open()
    await driver.close(everything=True)
    await no_leaks(config)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(agent: AgentProcess, plane: FakeControlPlane, point: str) -> None:
    """The script ran once, and its exit code is true."""
    await agent.start(dies=point)
    lease = await plane.submit("echo ran; exit 7", memory_mb=256)
    assert await agent.ended() == -signal.SIGKILL
    await agent.start()
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"], lease.text) == ("exited", 7, "ran\n")


@pytest.mark.parametrize(
    "script",
    [
        "trap '' TERM INT HUP; echo up; while :; do sleep 1; done",
        "echo up; f() { f | f & }; f 2>/dev/null; sleep 60",
        "echo up; yes",
    ],
)
async def test_stop_within_two_seconds(agent: AgentProcess, plane: FakeControlPlane, script: str) -> None:
    await agent.start()
    lease = await plane.submit(script, memory_mb=256)
    await plane.wait(lambda: lease.text.startswith("up\n"))
    began = time.monotonic()
    await plane.wish_stop(lease)
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"]) == ("stopped", 143)
    assert time.monotonic() - began < 2


async def test_memory_and_disk(agent: AgentProcess, plane: FakeControlPlane) -> None:
    await agent.start()
    oom = await plane.submit("exec python3 -c 'x = bytearray(1 << 30)'", memory_mb=128)
    full = await plane.submit("dd if=/dev/zero of=/big bs=1M 2>/dev/null || exit 3", memory_mb=256, disk_gb=1)
    end = await plane.finished(oom)
    assert (end["outcome"], end["exit_code"]) == ("oom", 137)
    end = await plane.finished(full)
    assert (end["outcome"], end["exit_code"]) == ("disk_full", 3)
