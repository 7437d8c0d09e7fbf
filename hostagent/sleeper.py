"""Puts one held sandbox to sleep when it is idle, wakes it, and knows when it has slept for long enough.

It is frozen first and asked about afterwards: who was connected by then is seen, and who comes later finds it
frozen and has it thawed. So nobody is left waiting at a sandbox that sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from hostagent import machine
from hostagent.drivers.base import Driver
from hostagent.errors import DriverError
from hostagent.heldwire import Evidence, SandboxAsleep, SandboxAwake, SleepWish, WakeCause
from hostagent.holdings import HeldPhase, Holding, Sleep
from hostagent.idle import LOOKS, IdleWatch, Use
from hostagent.occupants import Occupants
from hostagent.sandboxbox import SandboxBox
from hostagent.saver import Saver
from hostagent.traffic import Traffic
from hostagent.waiting import first, to_its_end

AGAIN_S = 60.0  # until what failed is tried again
SEEN_S = 1.0  # an answer of the data port may be so old, but not after a freeze

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bed:
    """What a sleeper has to do with."""

    holding: Holding
    driver: Driver
    occupants: Occupants
    saver: Saver
    traffic: Traffic
    box: SandboxBox
    stir: Callable[[], None]  # whoever waits in vain while it sleeps


class Sleeper:
    def __init__(self, bed: Bed, log: Any) -> None:
        self._bed = bed
        self._record = bed.holding.record
        self._id = self._record.sandbox_id
        self._log = log
        self._lock = asyncio.Lock()  # held by who freezes, thaws or stops
        self._changed = asyncio.Event()
        self._watch = IdleWatch()
        self._looked_at = 0.0
        self._starts = 0  # of runs, under way: what is not started yet is no run

    @property
    def _is_asleep(self) -> bool:
        return self._record.sleep is not None

    def look_again(self, *, is_wanted: bool) -> None:
        """The wish is another one. `is_wanted`: somebody wishes it awake."""
        if is_wanted:
            self._watch.restart(time.monotonic())
        self._changed.set()

    # --- Waking ---

    async def wake(self, cause: WakeCause) -> None:
        """Let it go on where it was frozen. DriverError where it is ending."""
        async with self._lock:
            if self._record.phase is not HeldPhase.RUNNING:
                raise DriverError("it is ending")
            self._watch.restart(time.monotonic())
            await to_its_end(self._thaw(cause))  # who gives up must not leave it noted as asleep
        self._changed.set()
        self._bed.stir()

    @contextlib.asynccontextmanager
    async def awake(self, cause: WakeCause) -> AsyncIterator[None]:
        """Awake, and it does not fall asleep during the block."""
        self._starts += 1
        try:
            await self.wake(cause)
            yield
        finally:
            self._starts -= 1

    async def _thaw(self, cause: WakeCause) -> None:
        began = time.monotonic()
        await self._bed.driver.thaw(self._id)  # whoever froze it
        self._note_awake(cause, round((time.monotonic() - began) * 1000))

    def _note_awake(self, cause: WakeCause, ms: int) -> None:
        """Where it was not asleep for certain yet there is nothing to tell."""
        record = self._record
        if record.sleep is not None and record.sleep.asleep is not None:
            record.woke = SandboxAwake(self._id, record.wish.epoch, machine.now_ms(), cause, ms)
            self._bed.box.tell(record.woke)
            self._log.info("sandbox_woke", cause=cause, ms=ms)
        self._forget_sleep()

    def _forget_sleep(self) -> None:
        """Nobody's wake fails with the note: a successor sees by itself that it is not frozen."""
        if self._record.sleep is None:
            return
        self._record.sleep = None
        try:
            self._bed.holding.write()
        except OSError as error:
            self._log.warning("wake_not_noted", error=str(error))

    @property
    def _is_wished_awake(self) -> bool:
        sleep, wish = self._record.sleep, self._record.wish
        return sleep is not None and (wish.sleep is None or wish.wake > sleep.wake)

    # --- The life of it ---

    async def run(self) -> None:
        """Until it has slept for so long that it ends. That is noted then."""
        self._watch.restart(time.monotonic())
        with contextlib.suppress(DriverError):  # it is about to be gone
            await self._recover()
        while True:
            self._changed.clear()
            try:
                if await self._go_on():
                    return
                again_s = self._next_s()
            except (DriverError, OSError) as error:  # a full disk, for one: it goes on awake
                self._log.warning("sleep_failed", error=str(error))
                again_s = AGAIN_S
            await first(self._changed, timeout_s=again_s)

    async def _recover(self) -> None:
        """What an earlier agent had frozen stays so, if that was certain."""
        record = self._record
        async with self._lock:
            is_frozen = await self._bed.driver.is_frozen(self._id)
            if record.sleep is not None and record.sleep.asleep is not None and is_frozen:
                self._bed.box.tell(record.sleep.asleep)
                return
            if is_frozen:
                await self._bed.driver.thaw(self._id)
            self._note_awake("restart", 0)
            if record.woke is not None:
                self._bed.box.tell(record.woke)

    async def _go_on(self) -> bool:
        """The next step. True: the last one."""
        if self._is_wished_awake:
            await self.wake("wish")
        elif self._is_asleep:
            return await self._is_stopped()
        elif (wish := self._record.wish.sleep) is not None:
            await self._fall_asleep(wish)
        return False

    def _next_s(self) -> float | None:
        """Until the next step is due; None: not before something changes."""
        wish, sleep = self._record.wish.sleep, self._record.sleep
        if wish is None:
            return None
        if sleep is None:
            return self._watch.next_look_s(time.monotonic(), wish)
        if wish.stop_s is None:
            return None
        left_s = wish.stop_s - _age_s(sleep)
        return left_s if left_s > 0 else AGAIN_S

    # --- Falling asleep ---

    async def _fall_asleep(self, wish: SleepWish) -> None:
        if await self._evidence(wish) is None:
            return
        if not await self._bed.saver.checkpoint():
            self._log.warning("not_asleep", why="its files cannot be saved")
            self._watch.restart(time.monotonic())
            return
        if evidence := await self._evidence(wish):  # the checkpoint may have taken long
            await self._freeze(evidence)

    async def _evidence(self, wish: SleepWish) -> Evidence | None:
        seen = await self._bed.traffic.seen(time.monotonic() - min(SEEN_S, wish.idle_s / LOOKS))
        cpu_ms = await self._bed.driver.cpu_ms(self._id)
        now = time.monotonic()
        if seen is None or self._starts:
            self._watch.restart(now)
            return None
        self._looked_at = seen.at
        occupants = self._bed.occupants
        active_at = max(seen.active_at(self._id), occupants.changed_at)
        execs = seen.execs.get(self._id, 0)
        connections = seen.connections(self._id)
        return self._watch.see(Use(now, cpu_ms, connections, execs, occupants.active, active_at), wish)

    async def _freeze(self, evidence: Evidence) -> None:
        record = self._record
        async with self._lock:
            if record.phase is not HeldPhase.RUNNING or self._is_in_use():
                return
            record.sleep = Sleep(machine.uptime_ms(), record.wish.wake)
            try:
                is_alone = await self._freeze_and_ask(record.sleep, evidence)
            except (DriverError, OSError):
                await self._let_go()
                raise
            if not is_alone:
                self._log.info("not_asleep", why="somebody came")
                self._watch.restart(time.monotonic())
                await self._let_go()

    async def _freeze_and_ask(self, sleep: Sleep, evidence: Evidence) -> bool:
        self._bed.holding.write()
        await to_its_end(self._bed.driver.freeze(self._id))
        # An answer from before the freeze was over knows nothing of who still found it awake.
        if await self._has_somebody_come(time.monotonic()):
            return False
        self._note_asleep(sleep, evidence)
        return True

    async def _let_go(self) -> None:
        try:
            await self._bed.driver.thaw(self._id)
        finally:
            self._forget_sleep()

    async def _has_somebody_come(self, frozen_at: float) -> bool:
        seen = await self._bed.traffic.seen(frozen_at)
        if seen is None or self._is_in_use() or self._is_wished_awake:
            return True
        came = seen.active_at(self._id) > self._looked_at
        return came or bool(seen.connections(self._id) or seen.execs.get(self._id))

    def _is_in_use(self) -> bool:
        """By a run, or one that is about to be."""
        wish = self._record.wish.sleep
        return bool(self._starts or wish is None or (self._bed.occupants.active and not wish.with_runs))

    def _note_asleep(self, sleep: Sleep, evidence: Evidence) -> None:
        record = self._record
        asleep = SandboxAsleep(self._id, record.wish.epoch, machine.now_ms(), evidence)
        record.sleep, record.woke = Sleep(sleep.since_ms, sleep.wake, asleep), None
        self._bed.holding.write()
        self._bed.box.tell(asleep)
        self._log.info("sandbox_asleep", idle_ms=evidence.idle_ms, cpu_ms=evidence.cpu_ms)

    # --- Stopping ---

    async def _is_stopped(self) -> bool:
        """Whether it ends now, for it has slept for long. What was written up to the freeze is saved before:
        the end needs no store then."""
        if not self._is_stop_due():
            return False
        saving = self._bed.saver.checkpoint()
        await first(saving, self._changed)
        if not saving.done() or not saving.result():
            return False
        async with self._lock:
            if not self._is_stop_due() or self._is_wished_awake:
                return False
            self._bed.holding.end("idle", "")
            return True

    def _is_stop_due(self) -> bool:
        wish, sleep = self._record.wish.sleep, self._record.sleep
        if wish is None or wish.stop_s is None or sleep is None or _age_s(sleep) < wish.stop_s:
            return False
        return self._bed.saver.saves_all and not self._bed.occupants.active and not self._starts


def _age_s(sleep: Sleep) -> float:
    return (machine.uptime_ms() - sleep.since_ms) / 1000
