"""One sandbox, as its runner deals with it: the driver's calls with patience and tries around them."""

from __future__ import annotations

import asyncio
import contextlib
from signal import SIGTERM
from typing import Any

from hostagent.backoff import Backoff
from hostagent.drivers.base import Driver, Exit, Phase
from hostagent.errors import DriverError
from hostagent.waiting import first

KILL_WAIT_S = 10.0  # from SIGKILL to the exit file; after that the shim is taken for dead
KILL_TRIES = 3


class Sandbox:
    """`log` is bound to the lease."""

    def __init__(self, driver: Driver, sandbox_id: str, log: Any) -> None:
        self._driver = driver
        self._id = sandbox_id
        self._log = log

    async def is_started(self) -> bool:
        """What the driver sees, where its answer to `start` was a failure."""
        started = (Phase.RUNNING, Phase.EXITED)
        return any(f.sandbox_id == self._id and f.phase in started for f in await self._driver.find())

    async def ask_to_end(self, waiting: asyncio.Task[Exit], grace_s: float) -> None:
        """SIGTERM, and time to obey. The call itself may hang where the sandbox starves."""
        asking = asyncio.create_task(self._signal())
        await first(waiting, timeout_s=grace_s)
        asking.cancel()

    async def _signal(self) -> None:
        with contextlib.suppress(DriverError):  # the kill comes anyway
            await self._driver.signal(self._id, SIGTERM)

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
                return await self._driver.kill(self._id)
            except DriverError as error:
                self._log.warning("kill_failed", error=error.message)
        return None

    async def destroy(self) -> None:
        """Tried until it works: what is left would hold its slot, memory and addresses."""
        backoff = Backoff()
        while True:
            try:
                return await self._driver.destroy(self._id)
            except DriverError as error:
                self._log.warning("destroy_failed", error=error.message)
                await asyncio.sleep(backoff.next_s())
