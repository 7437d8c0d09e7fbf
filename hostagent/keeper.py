"""One held sandbox, from its wish until nothing is left of it: volume, container, versions, end.

Every step is journaled before it is done, so the successor of a killed agent knows where to go on. The files
are in one of three places at any time: in a version that is durable, in the live volume, or both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from hostagent import machine, outcome
from hostagent.backoff import Backoff
from hostagent.drivers.base import Driver, Exit, SandboxSpec
from hostagent.errors import AgentError, DriverError, StaleBoot, StaleSandbox
from hostagent.fields import Stages
from hostagent.heldwire import (
    DamagedObject,
    SandboxEnd,
    SandboxEnded,
    SandboxRunning,
    SandboxWish,
    VersionReason,
)
from hostagent.holdings import HeldPhase, HeldRecord, Holdings
from hostagent.outbox import Box
from hostagent.sandbox import Sandbox
from hostagent.sandboxbox import SandboxBox
from hostagent.saver import Saver
from hostagent.saving import Depot, HeldVolume, workspace_of
from hostagent.uploads import Uploads
from hostagent.volumes.errors import Damaged, PathTooLong
from hostagent.waiting import first, unless

logger = structlog.get_logger(__name__)

RUNS_END_S = 30.0  # runs are ended one by one; after that, all together

NOT_UP = "Ended before it was up."
AGENT_FAILED = "The host agent failed while it kept this sandbox."
REBOOTED = "The host was restarted while the sandbox was up."
GONE = "The sandbox died, or was removed on the host."
OUT_OF_MEMORY = "The sandbox ran out of memory."
GIVEN_AWAY = "The host lost the right to save this workspace."
UNSAVABLE = "The last changes could not be saved: a path is too long."


class Running(Protocol):
    """A run, for the sandbox that it is in."""

    def stop(self) -> None:
        """End it: the server wishes the end of the sandbox."""

    def drop(self) -> None:
        """Kill it and say nothing: the sandbox is not ours."""


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
        self._sandbox = Sandbox(site.driver, record.sandbox_id, site.uploads, self._log)
        self._volume = HeldVolume(site.depot, record.wish, self._log)
        self._dropped = asyncio.Event()
        self._box = SandboxBox(record.wish, site.wake, self._dropped)
        self._saver = Saver(self._volume, record, self._box, self._log)
        self._end_wished = asyncio.Event()
        self._up = asyncio.Event()
        self._closed = asyncio.Event()  # nothing starts in it any more
        self._runs: dict[int, Running] = {}  # by lease, until nothing is left of it
        self._active: set[int] = set()  # leases whose scripts are not over
        self._left = asyncio.Event()  # one of them is over, or gone
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
            self._write()
            self._saver.changed.set()
        if new.wish == "end":
            self._end_wished.set()

    def drop(self) -> None:
        """The sandbox is not ours any more: kill, publish nothing, say nothing."""
        self._dropped.set()

    def lose(self, message: str) -> None:
        """The container is gone and nobody knows how it ended."""
        self._end("lost", message)

    # --- Runs ---

    def enter(self, lease_id: int, run: Running) -> None:
        self._runs[lease_id] = run
        self._active.add(lease_id)
        if not self.record.has_run:
            self.record.has_run = True
            self._write()

    def leave(self, lease_id: int) -> None:
        """Its script is over."""
        self._active.discard(lease_id)
        self._left.set()

    def forget(self, lease_id: int) -> None:
        """Nothing is left of it, and the server knows."""
        self.leave(lease_id)
        self._runs.pop(lease_id, None)

    async def up(self) -> None:
        """Return when runs can start. DriverError when they never will."""
        await first(self._up, self._closed)
        if self._closed.is_set():
            why = self.record.end.message if self.record.end else ""
            raise DriverError(why.removeprefix(f"{outcome.NOT_STARTED}: ") or "its sandbox has ended")

    # --- The life of it ---

    async def run(self) -> None:
        async with self._site.lock(workspace_of(self.record.wish)):
            if not await self._is_kept_to_its_end():
                await self._fence()
        if not self._dropped.is_set():
            await self._report()
        self._site.holdings.forget(self.record.sandbox_id)
        self._log.info("sandbox_forgotten")

    async def _is_kept_to_its_end(self) -> bool:
        if self.record.phase is HeldPhase.FENCED:
            return False
        try:
            return await unless(self._dropped, self._live())
        except StaleSandbox as error:
            self._log.warning("sandbox_stale", error=error.message)
            self._end("lost", GIVEN_AWAY)
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
            self._end("lost", AGENT_FAILED)
        if self.record.phase is HeldPhase.ENDING:
            self._closed.set()
            await self._finish()

    async def _begin(self) -> None:
        try:
            if not await unless(self._end_wished, self._build()):
                self._end("stopped", NOT_UP)
        except Damaged as error:
            damaged = DamagedObject(error.version, error.object)
            self._end("damaged", outcome.sentence("The workspace is damaged", error), damaged)
        except DriverError as error:
            self._end("start_failed", outcome.start_failed_message(error))
        except OSError as error:
            self._log.exception("volume_failed", error=str(error))
            self._end("start_failed", outcome.start_failed_message(DriverError(str(error))))
        except (StaleSandbox, StaleBoot):
            raise
        except AgentError as error:
            self._end("restore_failed", outcome.sentence("The workspace could not be restored", error))

    async def _build(self) -> None:
        if self._is_restored:
            await self._sandbox.destroy()  # what an earlier agent had made of it
        record, wish, driver = self.record, self.record.wish, self._site.driver
        live = await self._volume.ready()
        ready_at = machine.now_ms()
        spec = SandboxSpec(
            wish.sandbox_id, wish.tenant, wish.image, b"", vcpus=wish.vcpus, memory_mb=wish.memory_mb,
            disk_gb=wish.disk_gb, upper=live, uploads=self._site.uploads.make(wish.sandbox_id), is_held=True,
        )  # fmt: skip
        await driver.create(spec)
        await driver.start(wish.sandbox_id)
        record.started_at = machine.now_ms()
        record.stages = Stages(0, ready_at - record.accepted_at, record.started_at - ready_at)
        self._move(HeldPhase.RUNNING)
        self._announce()

    def _announce(self) -> None:
        record = self.record
        wish, stages = record.wish, record.stages or Stages(0, 0, 0)
        self._box.tell(SandboxRunning(wish.sandbox_id, wish.epoch, record.started_at, stages))
        self._up.set()

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
                self._end(*_how_it_died(waiting))
            elif self._end_wished.is_set():
                self._end("stopped", "")
            else:
                self._end("done", "")
        finally:
            for task in (waiting, saving, emptying):
                task.cancel()
            await asyncio.gather(waiting, saving, emptying, return_exceptions=True)

    async def _until_empty(self) -> None:
        """Until a sandbox that is not kept has had its runs."""
        while self.record.wish.is_kept or not self.record.has_run or self._active:
            self._left.clear()
            await self._left.wait()

    async def _finish(self) -> None:
        """No run, no container; all that is to be saved is durable; then the volume is anybody's."""
        await self._end_runs()
        await self._sandbox.destroy()
        is_saved = self.record.started_at > 0 and await self._save_last()
        if is_saved is None:
            await self._volume.put_back_fenced()
        else:
            await self._volume.put_back(is_saved=is_saved)
        self._move(HeldPhase.SAVED)

    async def _end_runs(self) -> None:
        end = self.record.end
        if end is None or end.reason == "stopped":
            for run in self._runs.values():
                run.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RUNS_END_S):
                while self._active:
                    self._left.clear()
                    await self._left.wait()

    async def _save_last(self) -> bool | None:
        """Whether all is saved; None where it cannot be."""
        backoff = Backoff()
        end = self.record.end
        reason: VersionReason = "stop" if end and end.reason == "stopped" else "end"
        while True:
            try:
                await self._saver.save_last(reason)
            except (StaleSandbox, StaleBoot):
                raise
            except PathTooLong:
                self._amend(UNSAVABLE)
                return None
            except Exception as error:  # noqa: BLE001 - nothing is given up that is not saved
                self._log.exception("last_save_failed", error=type(error).__name__)
                await asyncio.sleep(backoff.next_s())
            else:
                return self._saver.is_saved

    async def _fence(self) -> None:
        """Whoever has the workspace now must not meet us: stop all, publish nothing."""
        self._closed.set()
        self._move(HeldPhase.FENCED)
        with contextlib.suppress(DriverError):  # the kill comes anyway
            await self._site.driver.freeze(self.record.sandbox_id)
        for run in self._runs.values():  # before the kill: its exit codes are not theirs
            run.drop()
        await self._sandbox.kill()
        await self._sandbox.destroy()
        await self._volume.put_back_fenced()
        self._log.warning("sandbox_fenced")

    async def _report(self) -> None:
        """Its last word, after those of its runs."""
        while self._runs:
            self._left.clear()
            await self._left.wait()
        if self.record.end is not None:
            self._box.tell(self.record.end)
            await self._box.settled.wait()

    # --- Notes ---

    def _end(self, reason: SandboxEnd, message: str, damaged: DamagedObject | None = None) -> None:
        """Journal why it ends. The first reason stays."""
        if self.record.end is None:
            wish = self.record.wish
            self.record.end = SandboxEnded(
                wish.sandbox_id, wish.epoch, machine.now_ms(), reason, message, damaged
            )
            self._log.info("sandbox_ending", reason=reason, message=message)
        self._move(HeldPhase.ENDING)

    def _amend(self, message: str) -> None:
        if self.record.end is not None:
            self.record.end = msgspec.structs.replace(self.record.end, message=message)

    def _move(self, phase: HeldPhase) -> None:
        self.record.phase = phase
        self._write()

    def _write(self) -> None:
        self._site.holdings.write(self.record)


def _how_it_died(waiting: asyncio.Task[Exit]) -> tuple[SandboxEnd, str]:
    try:
        is_oom = waiting.result().is_oom
    except DriverError:
        is_oom = False
    return ("oom", OUT_OF_MEMORY) if is_oom else ("lost", GONE)
