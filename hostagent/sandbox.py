"""What a script runs in, as its runner deals with it: the driver's calls with patience and tries around them.

`Sandbox` is one of the script's own; `hostagent.insiders` has the other kind.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

from hostagent.backoff import Backoff
from hostagent.drivers.base import Driver, Exit, Life, Phase, SandboxSpec
from hostagent.errors import DriverError, ImageMissing
from hostagent.library import Library
from hostagent.uploads import Uploads
from hostagent.waiting import first
from hostagent.wire import Assignment

KILL_WAIT_S = 10.0  # from SIGKILL to the exit file; after that the shim is taken for dead
KILL_TRIES = 3


class Place:
    """Where one script runs. `log` is bound to the lease."""

    def __init__(self, life: Life, key: str, log: Any) -> None:
        self._life = life
        self._key = key
        self._log = log

    async def create(self, assignment: Assignment) -> dict[str, int]:
        """Everything up to a script that waits. Answers the ms each stage took."""
        raise NotImplementedError

    def abandon(self) -> None:
        """What `create` makes is not wanted any more."""

    async def is_started(self) -> bool:
        """What the driver sees, where its answer to `start` was a failure."""
        raise NotImplementedError

    def leave(self) -> None:
        """The script is over, and its output has been read."""

    async def start(self) -> None:
        await self._life.start(self._key)

    @property
    def spool_path(self) -> Path:
        return self._life.spool_path(self._key)

    async def wait(self) -> Exit:
        return await self._life.wait(self._key)

    async def ask_to_end(self, waiting: asyncio.Task[Exit], grace_s: float) -> None:
        """SIGTERM, and time to obey. The call itself may hang where the sandbox starves."""
        asking = asyncio.create_task(self._signal())
        await first(waiting, timeout_s=grace_s)
        asking.cancel()

    async def _signal(self) -> None:
        with contextlib.suppress(DriverError):  # the kill comes anyway
            await self._life.signal(self._key, SIGTERM)

    async def end(self, waiting: asyncio.Task[Exit]) -> Exit | None:
        """Kill what still runs. How it ended; None where that cannot be known."""
        if not waiting.done():
            await self.kill()
            await first(waiting, timeout_s=KILL_WAIT_S)
        try:
            if waiting.done():
                return waiting.result()
        except DriverError as error:
            self._log.warning("exit_unknown", error=error.message)
        await self.kill()
        return None

    async def kill(self) -> None:
        for _ in range(KILL_TRIES):
            try:
                return await self._life.kill(self._key)
            except DriverError as error:
                self._log.warning("kill_failed", error=error.message)
        return None

    async def destroy(self) -> None:
        """Tried until it works: what is left would hold its slot, memory and addresses."""
        backoff = Backoff()
        while True:
            try:
                return await self._life.destroy(self._key)
            except DriverError as error:
                self._log.warning("destroy_failed", error=error.message)
                await asyncio.sleep(backoff.next_s())


class Sandbox(Place):
    """A sandbox that one script has for itself, or a held one."""

    def __init__(self, driver: Driver, library: Library, sandbox_id: str, uploads: Uploads, log: Any) -> None:
        super().__init__(driver, sandbox_id, log)
        self._driver = driver
        self._library = library
        self._uploads = uploads

    async def create(self, assignment: Assignment) -> dict[str, int]:
        spec = spec_of(assignment)
        if assignment.files:
            spec = replace(spec, uploads=await self._uploads.fetch(self._key, assignment.files))
        try:
            return await self._driver.create(spec)
        except ImageMissing:
            await self._library.have(spec.image)
            return await self._driver.create(spec)

    async def destroy(self) -> None:
        await super().destroy()
        await self._uploads.remove(self._key)

    async def is_started(self) -> bool:
        started = (Phase.RUNNING, Phase.EXITED)
        return any(f.sandbox_id == self._key and f.phase in started for f in await self._driver.find())


def spec_of(assignment: Assignment) -> SandboxSpec:
    a = assignment
    return SandboxSpec(
        a.sandbox_id, a.tenant, a.image, a.script.encode(), a.environment, a.vcpus, a.memory_mb, a.disk_gb
    )
