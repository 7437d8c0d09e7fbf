"""One exec, from its start or from when it was found again to its end."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import AsyncGenerator

import structlog

from execwire.frames import Gap, Outcome, Output, Stream
from hostagent.drivers.base import Exit
from hostagent.drivers.execs import OciExecs
from hostagent.errors import DriverError, SandboxLost
from hostagent.execs.cursor import Cursor, gaps
from hostagent.execs.ledger import Ledger
from hostagent.execs.records import Cut, End, Mark, Start, Wish, load, save
from hostagent.linux import notify
from hostagent.waiting import first

AGAIN_S = 5.0  # until what failed is tried again, e.g. a kill in a frozen sandbox
KEPT = {End.NAME, Cut.NAME}

logger = structlog.get_logger(__name__)


class Exec:
    def __init__(self, driver: OciExecs, key: str, limit_bytes: int) -> None:
        self.driver = driver
        self.key = key
        self.bundle = driver.bundle(key)
        self._limit_bytes = limit_bytes
        start = load(self.bundle.path, Start)
        is_startup = start is not None and start.is_startup
        # A startup command is what the sandbox is for; who sits at a terminal is connected, and a shell
        # whose window was closed is nobody's.
        self.is_use = not (is_startup or self.bundle.has_terminal)
        self._cut = load(self.bundle.path, Cut)
        self.end = load(self.bundle.path, End)
        self._over = asyncio.Event()
        if self.end is not None:
            self._over.set()

    async def frames(self, stdout: int, stderr: int) -> AsyncGenerator[Output | Gap, None]:
        """All output from the offsets on, until the exec has ended and it was all told."""
        try:
            cursor = Cursor(self.bundle.spool, lambda: self._cut, stdout, stderr)
        except FileNotFoundError:
            await self._over.wait()
            for gap in gaps({Stream.STDOUT: stdout, Stream.STDERR: stderr}, self.ended.total):
                yield gap
            return
        with cursor, notify.shared().subscribe(self.bundle.spool.parent, notify.MODIFY) as changes:
            while True:
                is_last = self._over.is_set()  # asked before the spool is read
                for frame in cursor.read(is_last=is_last):
                    yield frame
                if is_last:
                    return
                await first(changes.woken, self._over)
                changes.take()

    async def over(self) -> End:
        await self._over.wait()
        return self.ended

    @property
    def ended(self) -> End:
        """Only once it is over, e.g. when all `frames` were read."""
        if self.end is None:
            raise RuntimeError(f"exec {self.key} has not ended")
        return self.end

    async def supervise(self) -> None:
        """Wait for its end, write that down, and remove what is not needed any more."""
        expiring = asyncio.create_task(self._expire())
        try:
            end = await self._follow()
        finally:
            expiring.cancel()
        await self._finish(end)

    async def _follow(self) -> End:
        try:
            ledger = Ledger(self.bundle.spool, self._limit_bytes, self._cut, self._save_cut)
        except FileNotFoundError:  # it went with its sandbox
            return _lost(Mark())
        with contextlib.closing(ledger):
            following = asyncio.create_task(ledger.follow())
            try:
                exit_ = await self.driver.wait(self.key)
            except (SandboxLost, FileNotFoundError):
                return _lost(await ledger.finish())
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            return await self._end(exit_, await ledger.finish())

    def _save_cut(self, cut: Cut) -> None:
        save(self.bundle.path, cut)
        self._cut = cut

    async def _end(self, exit_: Exit, total: Mark) -> End:
        outcome = self._outcome(exit_)
        if outcome is Outcome.SIGNALED and not await self.driver.slow(self.driver.is_sandbox_up, self.key):
            return _lost(total)  # all of the sandbox was killed: that is no end of the command's own
        return End(outcome, exit_.exit_code, exit_.at_ms, total)

    def _outcome(self, exit_: Exit) -> Outcome:
        number = exit_.exit_code - 128
        if number not in {s.value for s in signal.Signals}:
            return Outcome.EXITED  # whatever was wished came too late
        wish = load(self.bundle.path, Wish)
        if wish is not None:
            return wish.outcome
        return Outcome.OOM if exit_.is_oom else Outcome.SIGNALED

    async def _finish(self, end: End) -> None:
        try:
            save(self.bundle.path, end)
        except FileNotFoundError:
            logger.info("exec_went_with_its_sandbox", exec=self.key)
        self.end = end
        self._over.set()
        with contextlib.suppress(OSError, DriverError):  # tried again by the sweep
            await self.driver.slow(self._tidy)

    def _tidy(self) -> None:
        self.driver.remove_groups(self.key)
        if self.bundle.path.exists():
            for entry in self.bundle.path.iterdir():
                if entry.name not in KEPT:
                    entry.unlink()
        self.bundle.script.unlink(missing_ok=True)

    async def _expire(self) -> None:
        start = load(self.bundle.path, Start)
        if start is None or start.expires_ms is None:
            return
        await asyncio.sleep(max(0, start.expires_ms / 1000 - time.time()))
        while True:
            try:
                # In a frozen one nothing dies, and who waits for that holds a thread that others need.
                if not await self.driver.slow(self.driver.is_sandbox_frozen, self.key):
                    await self.kill(Outcome.TIMED_OUT)
            except (OSError, DriverError) as error:
                logger.warning("exec_not_killed", exec=self.key, error=str(error))
            await asyncio.sleep(AGAIN_S)

    async def kill(self, outcome: Outcome) -> None:
        """All its processes. Where it has ended, what it left running stays: its end was told."""
        if self.end is not None:
            return
        if load(self.bundle.path, Wish) is None:
            save(self.bundle.path, Wish(outcome))
        await self.driver.kill(self.key)

    async def signal(self, signum: signal.Signals) -> None:
        if self.end is None:
            await self.driver.signal(self.key, signum)

    def forget_output(self) -> None:
        shutil.rmtree(self.bundle.spool.parent, ignore_errors=True)

    def forget(self) -> None:
        self.forget_output()
        shutil.rmtree(self.bundle.path, ignore_errors=True)


def _lost(total: Mark) -> End:
    return End(Outcome.LOST, None, round(time.time() * 1000), total)
