"""One held sandbox, from its wish until nothing is left of it: volume, container, versions, end.

Every step is journaled before it is done, so the successor of a killed agent knows where to go on. The files
are in one of three places at any time: in a version that is durable, in the live volume, or both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import msgspec
import structlog

from hostagent import machine, outcome
from hostagent.drivers.base import Driver, Exit, SandboxSpec
from hostagent.ending import Ending
from hostagent.errors import AgentError, DriverError, StaleBoot, StaleSandbox
from hostagent.fields import Stages
from hostagent.heldwire import DamagedObject, SandboxEnd, SandboxEnding, SandboxRunning, SandboxWish
from hostagent.holdings import HeldPhase, HeldRecord, Holding, Holdings
from hostagent.occupants import Occupants, Running
from hostagent.outbox import Box
from hostagent.sandbox import Sandbox
from hostagent.sandboxbox import SandboxBox
from hostagent.saver import Saver
from hostagent.savetrouble import Trouble, kind_of
from hostagent.saving import Depot, HeldVolume, workspace_of
from hostagent.uploads import Uploads
from hostagent.volumes.errors import Damaged, StorageUnavailable
from hostagent.waiting import first, unless

logger = structlog.get_logger(__name__)

NOT_UP = "Ended before it was up."
AGENT_FAILED = "The host agent failed while it kept this sandbox."
REBOOTED = "The host was restarted while the sandbox was up."
GONE = "The sandbox died, or was removed on the host."
OUT_OF_MEMORY = "The sandbox ran out of memory."
STORE_AWAY = "The workspace could not be restored: the object store does not answer."
GIVEN_AWAY = "The host lost the right to save this workspace."


@dataclass(frozen=True, slots=True)
class Site:
    """What all keepers share."""

    driver: Driver
    holdings: Holdings
    depot: Depot
    uploads: Uploads
    wake: Callable[[Box], None]  # the reporter's
    lock: Callable[[UUID], asyncio.Lock]  # of a workspace's volume


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
        self.occupants = Occupants()
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
            old, wish=wish.wish, sync=wish.sync, disk_gb=wish.disk_gb, volume=volume
        )
        if new != old:
            self.record.wish = new
            self._holding.write()
            self._saver.changed.set()
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

    async def thaw(self) -> None:
        """Let it go on where it was frozen. DriverError where it is ending: what is killed stays frozen."""
        if self._closed.is_set() or self._dropped.is_set() or self.record.phase is not HeldPhase.RUNNING:
            raise DriverError("it is ending")
        await self._site.driver.thaw(self.record.sandbox_id)

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
        try:
            if not await unless(self._end_wished, self._build()):
                self._holding.end("stopped", NOT_UP)
        except Damaged as error:
            damaged = DamagedObject(error.version, error.object)
            self._holding.end("damaged", outcome.sentence("The workspace is damaged", error), damaged)
        except DriverError as error:
            self._holding.end("start_failed", outcome.start_failed_message(error))
        except OSError as error:
            self._log.exception("volume_failed", error=str(error))
            self._holding.end("start_failed", outcome.start_failed_message(DriverError(str(error))))
        except (StaleSandbox, StaleBoot):
            raise
        except StorageUnavailable as error:  # its words name addresses
            self._log.warning("restore_failed", error=error.message)
            self._holding.end("restore_failed", STORE_AWAY)
        except AgentError as error:
            self._holding.end(
                "restore_failed", outcome.sentence("The workspace could not be restored", error)
            )

    async def _build(self) -> None:
        if self._is_restored:
            await self._sandbox.destroy()  # what an earlier agent had made of it
        record, wish, driver = self.record, self.record.wish, self._site.driver
        live = await self._volume.ready()
        ready_at = machine.now_ms()
        spec = SandboxSpec(
            wish.sandbox_id, wish.tenant, wish.image, b"", vcpus=wish.vcpus, memory_mb=wish.memory_mb,
            disk_gb=wish.disk_gb, upper=live, uploads=self._site.uploads.make(wish.sandbox_id),
            image_build=self._volume.build, is_held=True,
        )  # fmt: skip
        await driver.create(spec)
        await driver.start(wish.sandbox_id)
        record.started_at = machine.now_ms()
        record.stages = Stages(0, ready_at - record.accepted_at, record.started_at - ready_at)
        self._holding.move(HeldPhase.RUNNING)
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
        try:
            await first(waiting, saving, emptying, self._end_wished)
            if saving.done():
                saving.result()  # raises
            if waiting.done():
                self._holding.end(*_how_it_died(waiting))
            elif self._end_wished.is_set():
                self._holding.end("stopped", "")
            else:
                self._holding.end("done", "")
        finally:
            for task in (waiting, saving, emptying):
                task.cancel()
            await asyncio.gather(waiting, saving, emptying, return_exceptions=True)

    async def _until_empty(self) -> None:
        """Until a sandbox that is not kept has had its runs."""
        while self.record.wish.is_kept or not self.record.has_run or self.occupants.are_active:
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
