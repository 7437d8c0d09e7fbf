"""An agent in this event loop or in a process of its own, and a fake control plane for it to talk to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hostagent.client import Client
from hostagent.config import Config
from hostagent.drivers.base import Driver
from hostagent.worker import Worker
from tests.agent.drivers import ScriptDriver
from tests.agent.fake_control_plane import KEY, FakeControlPlane


class Agent:
    """One life after the other of an agent with the same state, in this event loop."""

    def __init__(self, state_dir: Path, url: str, **settings: Any) -> None:
        self.config = Config(server_url=url, state_dir=state_dir, sandboxes=4, stop_grace_ms=300, **settings)
        self.driver: ScriptDriver = ScriptDriver(state_dir / "sandboxes")
        self.worker: Worker | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, driver: Driver | None = None) -> None:
        self._task = asyncio.create_task(self._run(driver or self.driver))

    async def _run(self, driver: Driver) -> None:
        async with Client(self.config.server_url, KEY) as client:
            self.worker = Worker(self.config, driver, client)
            await self.worker.run()

    async def detach(self) -> None:
        """As SIGTERM does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ended(self) -> BaseException | None:
        """How the agent ended by itself."""
        assert self._task is not None
        done, _ = await asyncio.wait([self._task], timeout=20)
        assert done, "the agent goes on"
        return self._task.exception()

    @property
    def journal(self) -> Path:
        return self.config.state_dir / "leases"

    async def until_clean(self) -> None:
        """Nothing of any lease or held sandbox is left: no journal entry, no sandbox."""
        places = (self.journal, self.config.state_dir / "held", self.driver.root)
        for _ in range(400):
            if not any(list(place.iterdir()) for place in places):
                return
            await asyncio.sleep(0.025)  # polls for what nobody tells of
        raise AssertionError([list(place.iterdir()) for place in places])


@pytest_asyncio.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    plane = FakeControlPlane()
    await plane.start()
    yield plane
    await plane.stop()
    assert plane.violations == []


@pytest_asyncio.fixture
async def make_agent(plane: FakeControlPlane, tmp_path: Path) -> AsyncIterator[Callable[..., Agent]]:
    agents: list[Agent] = []

    def make(**settings: Any) -> Agent:
        agents.append(Agent(tmp_path / "state", plane.url, **settings))
        return agents[-1]

    yield make
    for agent in agents:
        await agent.detach()
        if agent.driver.root.exists():
            await agent.driver.close(everything=True)


@pytest_asyncio.fixture
async def agent(make_agent: Callable[..., Agent]) -> Agent:
    agent = make_agent()
    await agent.start()
    return agent


@pytest.fixture
def runs(tmp_path: Path) -> Callable[[], int]:
    """How often scripts ran that begin with `echo ran >> $RUNS`."""
    path = tmp_path / "runs"
    return lambda: len(path.read_text().splitlines()) if path.exists() else 0
