"""How one held sandbox ends: its runs, its container, its last version. Or, where the workspace was given
away, all of that without a version.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from hostagent.backoff import Backoff
from hostagent.drivers.base import Driver
from hostagent.errors import DriverError, StaleBoot, StaleSandbox
from hostagent.heldwire import VersionReason
from hostagent.holdings import HeldPhase, Holding
from hostagent.occupants import Occupants
from hostagent.sandbox import Sandbox
from hostagent.saver import Saver
from hostagent.saving import HeldVolume
from hostagent.volumes.errors import PathTooLong

RUNS_END_S = 30.0  # runs are ended one by one; after that, all together

UNSAVABLE = "The last changes could not be saved: a path is too long."


@dataclass(frozen=True, slots=True)
class Ending:
    holding: Holding
    occupants: Occupants
    driver: Driver
    sandbox: Sandbox
    volume: HeldVolume
    saver: Saver
    log: Any

    async def finish(self) -> None:
        """No run, no container; all that is to be saved is durable; then the volume is anybody's."""
        await self._end_runs()
        await self.sandbox.destroy()
        is_saved = self.holding.record.started_at > 0 and await self._save_last()
        if is_saved is None:
            await self.volume.put_back_fenced()
        else:
            await self.volume.put_back(is_saved=is_saved)
        self.holding.move(HeldPhase.SAVED)

    async def fence(self) -> None:
        """Whoever has the workspace now must not meet us: stop all, publish nothing."""
        self.holding.move(HeldPhase.FENCED)
        with contextlib.suppress(DriverError):  # the kill comes anyway
            await self.driver.freeze(self.holding.record.sandbox_id)
        self.occupants.drop()  # before the kill: its exit codes are not theirs
        await self.sandbox.kill()
        await self.sandbox.destroy()
        await self.volume.put_back_fenced()
        self.log.warning("sandbox_fenced")

    async def _end_runs(self) -> None:
        if self.occupants.active and self.holding.record.started_at > 0:
            with contextlib.suppress(DriverError):  # frozen, none of them could be ended alone
                await self.driver.thaw(self.holding.record.sandbox_id)
        end = self.holding.record.end
        if end is None or end.reason == "stopped":
            self.occupants.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RUNS_END_S):
                await self.occupants.are_over()

    async def _save_last(self) -> bool | None:
        """Whether all is saved; None where it cannot be."""
        backoff = Backoff()
        end = self.holding.record.end
        reason: VersionReason = "stop" if end and end.reason == "stopped" else "end"
        while True:
            try:
                await self.saver.save_last(reason)
            except (StaleSandbox, StaleBoot):
                raise
            except PathTooLong:
                self.holding.amend(UNSAVABLE)
                return None
            except Exception as error:  # nothing is given up that is not saved
                self.log.exception("last_save_failed", error=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
            else:
                return self.saver.is_saved
