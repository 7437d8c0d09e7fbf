"""The runs in one held sandbox, from when they enter it until nothing is left of them."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Running(Protocol):
    """A run, for the sandbox that it is in."""

    def stop(self) -> None:
        """End it: the server wishes the end of the sandbox."""

    def drop(self) -> None:
        """Kill it and say nothing: the sandbox is not ours."""


class Occupants:
    def __init__(self) -> None:
        self._runs: dict[int, Running] = {}  # by lease, until nothing is left of it
        self._active: set[int] = set()  # leases whose scripts are not over
        self._left = asyncio.Event()  # one of them is over, or gone
        self.changed_at = 0.0  # monotonic; when a script came or was over

    def enter(self, lease_id: int, run: Running) -> None:
        self._runs[lease_id] = run
        self._active.add(lease_id)
        self.changed_at = time.monotonic()

    def leave(self, lease_id: int) -> None:
        """Its script is over."""
        if lease_id in self._active:
            self._active.remove(lease_id)
            self.changed_at = time.monotonic()
        self._left.set()

    def forget(self, lease_id: int) -> None:
        """Nothing is left of it, and the server knows."""
        self.leave(lease_id)
        self._runs.pop(lease_id, None)

    def stop(self) -> None:
        for run in self._runs.values():
            run.stop()

    def drop(self) -> None:
        for run in self._runs.values():
            run.drop()

    @property
    def active(self) -> int:
        """How many scripts are not over."""
        return len(self._active)

    async def next_left(self) -> None:
        """Until one more script is over, or gone. Who waits looks again then."""
        self._left.clear()
        await self._left.wait()

    async def are_over(self) -> None:
        while self._active:
            await self.next_left()

    async def are_forgotten(self) -> None:
        while self._runs:
            await self.next_left()
