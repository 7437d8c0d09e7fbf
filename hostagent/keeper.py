"""One held sandbox, from its wish until nothing is left of it: volume, container, versions, end.

Every step is journaled before it is done, so the successor of a killed agent knows where to go on. The files
are in one of three places at any time: in a version that is durable, in the live volume, or both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec
import structlog

from hostagent import machine, outcome
from hostagent.beginning import Beginning
from hostagent.drivers.base import Driver, Exit
from hostagent.ending import Ending
from hostagent.errors import DriverError, StaleBoot, StaleSandbox
from hostagent.fields import Stages
from hostagent.heldwire import SandboxEnd, SandboxEnding, SandboxRunning, SandboxWish, WakeCause
from hostagent.holdings import HeldPhase, HeldRecord, Holding, Holdings
from hostagent.occupants import Occupants, Running
from hostagent.outbox import Box
from hostagent.sandbox import Sandbox
from hostagent.sandboxbox import SandboxBox
from hostagent.saver import Saver
from hostagent.savetrouble import Trouble, kind_of
from hostagent.saving import Depot, HeldVolume, workspace_of
from hostagent.sleeper import Bed, Sleeper
from hostagent.sshkeys import SshKeys
from hostagent.startup import Startup
from hostagent.traffic import Traffic
from hostagent.uploads import Uploads
from hostagent.waiting import first, unless

logger = structlog.get_logger(__name__)

AGENT_FAILED = "The host agent failed while it kept this sandbox."
REBOOTED = "The host was restarted while the sandbox was up."
GONE = "The sandbox died, or was removed on the host."
OUT_OF_MEMORY = "The sandbox ran out of memory."
GIVEN_AWAY = "The host lost the right to save this workspace."


@dataclass(frozen=True, slots=True)
class Site:
    """What all keepers share."""

    state_dir: Path
    driver: Driver
    holdings: Holdings
    depot: Depot
    uploads: Uploads
    wake: Callable[[Box], None]  # the reporter's
    lock: Callable[[UUID], asyncio.Lock]  # of a workspace's volume
    traffic: Traffic


class Keeper:
    """Keeps one sandbox. `give` and `drop` are wishes from outside; `run` returns when all is gone."""

    def __init__(self, site: Site, record: HeldRecord, *, is_restored: bool = False) -> None:
        self.record = record
        self._site = site
        self._log = logger.bind(sandbox=record.sandbox_id, workspace=str(workspace_of(record.wish)))
        self._sandbox = Sandbox(site.driver, site.depot.library, record.sandbox_id, site.uploads, self._log)
        trouble = Trouble()
        self._volume = HeldVolume(
            site.depot, record.wish, self._log, lambda error: trouble.met(kind_of(error))
        )
        self._dropped = asyncio.Event()
        self._box = SandboxBox(record.wish, site.wake, self._dropped)
        self._saver = Saver(self._volume, record, self._box, trouble, self._log)
        self._holding = Holding(site.holdings, record, self._log)
        self._startup = Startup(site.state_dir, self._holding, self._box.tell, self._log)
        self._keys = SshKeys(site.state_dir, record.wish, self._box.tell, self._log)
        self.occupants = Occupants()
        self._sleeper = Sleeper(
            Bed(
                self._holding, site.driver, self.occupants, self._saver, site.traffic, self._box,
                self._startup.stir,
            ),
            self._log,
        )  # fmt: skip
        self._beginning = Beginning(
            self._holding, site.driver, self._sandbox, self._volume, site.uploads, self._log
        )
        self._ending = Ending(
            self._holding, self.occupants, site.driver, self._sandbox, self._volume, self._saver, self._log
        )
        self._end_wished = asyncio.Event()
        self._up = asyncio.Event()
        self._closed = asyncio.Event()  # nothing starts in it any more
        self._is_restored = is_restored
        if record.phase is HeldPhase.RUNNING:
            self._announce()  # before its runs report that they started

    # --- Wishes ---

    def give(self, wish: SandboxWish) -> None:
        """What the server wishes now. Most of a wish never changes."""
        old = self.record.wish
        volume = msgspec.structs.replace(old.volume, is_saved=wish.volume.is_saved)
        new = msgspec.structs.replace(
            old, wish=wish.wish, sync=wish.sync, disk_gb=wish.disk_gb, volume=volume,
            sleep=wish.sleep, wake=wish.wake,
        )  # fmt: skip
        self._keys.give(wish.ssh)
        if new != old:
            self.record.wish = new
            self._holding.write()
            self._saver.changed.set()
            self._sleeper.look_again(is_wanted=new.wake > old.wake)
        if new.wish == "end":
            self._end_wished.set()

    def drop(self) -> None:
        """The sandbox is not ours any more: kill, publish nothing, say nothing."""
        self._dropped.set()

    def lose(self, message: str) -> None:
        """The container is gone and nobody knows how it ended."""
        self._holding.end("lost", message)

    # --- Runs ---

    def enter(self, lease_id: int, run: Running) -> None:
        self.occupants.enter(lease_id, run)
        if not self.record.has_run:
            self.record.has_run = True
            self._holding.write()

    async def up(self) -> None:
        """Return when runs can start. DriverError when they never will."""
        await first(self._up, self._closed)
        if self._closed.is_set():
            why = self.record.end.message if self.record.end else ""
            raise DriverError(why.removeprefix(f"{outcome.NOT_STARTED}: ") or "its sandbox has ended")

    async def wake(self, cause: WakeCause) -> None:
        """Let it go on where it was frozen. DriverError where it is ending: what is killed stays frozen."""
        if self._closed.is_set() or self._dropped.is_set():
            raise DriverError("it is ending")
        await self._sleeper.wake(cause)

    def awake(self) -> AbstractAsyncContextManager[None]:
        """While a run is started. As `wake`."""
        return self._sleeper.awake("run")

    # --- The life of it ---

    async def run(self) -> None:
        async with self._site.lock(workspace_of(self.record.wish)):
            if not await self._is_kept_to_its_end():
                self._closed.set()
                await self._ending.fence()
        if not self._dropped.is_set():
            await self._report()
        self._holding.forget()
        self._log.info("sandbox_forgotten")

    async def _is_kept_to_its_end(self) -> bool:
        if self.record.phase is HeldPhase.FENCED:
            return False
        try:
            return await unless(self._dropped, self._live())
        except StaleSandbox as error:
            self._log.warning("sandbox_stale", error=error.message)
            self._holding.end("lost", GIVEN_AWAY)
            return False

    async def _live(self) -> None:
        try:
            if self.record.phase is HeldPhase.ACCEPTED:
                await self._begin()
            if self.record.phase is HeldPhase.RUNNING:
                await self._hold()
        except (StaleSandbox, StaleBoot):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the sandbox must come to an end
            self._log.exception("keeper_failed", error=type(error).__name__)
            self._holding.end("lost", AGENT_FAILED)
        if self.record.phase is HeldPhase.ENDING:
            self._closed.set()
            self._say_that_it_ends()
            await self._ending.finish()

    async def _begin(self) -> None:
        await self._beginning.begin(self._end_wished, is_restored=self._is_restored)
        if self.record.phase is HeldPhase.RUNNING:
            await self._keys.begin()
            self._announce()

    def _announce(self) -> None:
        record = self.record
        wish, stages = record.wish, record.stages or Stages(0, 0, 0)
        self._box.tell(SandboxRunning(wish.sandbox_id, wish.epoch, record.started_at, stages))
        self._up.set()

    def _say_that_it_ends(self) -> None:
        """Before its last version is saved, which may take long: a job that comes waits for the end then. Who
        wished it knows, and so do those whose sandbox ends with its run."""
        wish = self.record.wish
        if wish.is_kept and wish.wish != "end":
            self._box.tell(SandboxEnding(wish.sandbox_id, wish.epoch, machine.now_ms()))

    async def _hold(self) -> None:
        """Until it ends, by itself or because somebody wishes it."""
        waiting = asyncio.create_task(self._site.driver.wait(self.record.sandbox_id))
        saving = asyncio.create_task(self._saver.run())
        emptying = asyncio.create_task(self._until_empty())
        starting = asyncio.create_task(self._startup.run(), name="startup")
        locking = asyncio.create_task(self._keys.follow(), name="ssh_keys")
        sleeping = asyncio.create_task(self._sleeper.run())
        for helper in (starting, locking):  # without them the sandbox goes on, and somebody must know
            helper.add_done_callback(self._log_death)
        try:
            await first(waiting, saving, emptying, sleeping, self._end_wished)
            if saving.done():
                saving.result()  # raises
            if sleeping.done():
                sleeping.result()  # it has noted the end; or raises
            elif waiting.done():
                self._holding.end(*_how_it_died(waiting))
            elif self._end_wished.is_set():
                self._holding.end("stopped", "")
            else:
                self._holding.end("done", "")
        finally:
            tasks = (waiting, saving, emptying, starting, sleeping, locking)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _log_death(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._log.error("keeper_task_died", task=task.get_name(), error=repr(error))

    async def _until_empty(self) -> None:
        """Until a sandbox that is not kept has had its runs."""
        while self.record.wish.is_kept or not self.record.has_run or self.occupants.active:
            await self.occupants.next_left()

    async def _report(self) -> None:
        """Its last word, after those of its runs."""
        await self.occupants.are_forgotten()
        if self.record.end is not None:
            self._box.tell(self.record.end)
            await self._box.settled.wait()


def _how_it_died(waiting: asyncio.Task[Exit]) -> tuple[SandboxEnd, str]:
    try:
        is_oom = waiting.result().is_oom
    except DriverError:
        is_oom = False
    return ("oom", OUT_OF_MEMORY) if is_oom else ("lost", GONE)
