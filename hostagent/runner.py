"""One lease, from its acceptance until nothing is left of it: create, start, follow, end, report, destroy.

Every step is journaled before it is done, so the successor of a killed agent knows where to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from hostagent import machine, outcome
from hostagent.config import Config
from hostagent.drivers.base import Driver, Exit
from hostagent.errors import AgentError, DriverError
from hostagent.fields import Stages
from hostagent.journal import Journal, Phase, Record
from hostagent.library import Library
from hostagent.logs.flood import Limits
from hostagent.logs.output import Output
from hostagent.logs.tailer import Tail
from hostagent.outbox import Box, Outbox
from hostagent.sandbox import Place
from hostagent.uploads import Uploads
from hostagent.waiting import first
from hostagent.wire import Assignment, Finished, Outcome, Started

logger = structlog.get_logger(__name__)

# Removing a sandbox costs the CPU that reporting its end needs, so it waits for the report; not for
# long, because its room is wanted and the server may be away.
REPORT_FIRST_S = 2.0

STOPPED_EARLY = "Stopped before it was started."
AGENT_FAILED = "The host agent failed while it ran this job."
OUTPUT_GONE = "The host lost this job's output before it was stored."


@dataclass(frozen=True, slots=True)
class Host:
    """What all runners share."""

    config: Config
    limits: Limits
    driver: Driver
    library: Library
    journal: Journal
    wake: Callable[[Box], None]  # the reporter's
    uploads: Uploads


class Runner:
    """Runs one lease. `stop` and `drop` are wishes from outside; `run` returns when all is gone."""

    def __init__(self, host: Host, record: Record, place: Place, *, is_start_asked: bool = False) -> None:
        self.record = record
        self.outbox = Outbox(record.key, host.wake)
        self._host = host
        self.is_idle = record.phase is Phase.ACCEPTED  # waits for its assignment
        self._is_start_asked = is_start_asked  # by an earlier agent: do not start, find out how it goes
        self._assignment: Assignment | None = None
        self._stopped = asyncio.Event()
        self._output: Output | None = None
        self._log = logger.bind(job=record.job_id, sandbox=record.sandbox_id, lease=record.lease_id)
        self._place = place

    @property
    def _id(self) -> str:
        return self.record.life

    def give(self, assignment: Assignment) -> None:
        """What to build, for a lease that is only accepted."""
        self._assignment = assignment

    def stop(self) -> None:
        """The server wishes the end of the job."""
        self._stopped.set()

    def drop(self) -> None:
        """The lease is not ours any more: kill, say nothing, forget."""
        self.outbox.settled.set()

    def lose(self, message: str) -> None:
        """The sandbox is gone and nobody knows how it ended: all that is left to do is to say so."""
        self._end("lost", None, message)

    async def run(self) -> None:
        try:
            await self._run_to_end()
            self._place.leave()
            await first(self.outbox.settled, timeout_s=REPORT_FIRST_S)
            await self._place.destroy()
            await self.outbox.settled.wait()
            self._host.journal.forget(self._id)
            self._log.info("lease_forgotten")
        finally:
            if self._output is not None:
                self._output.close()

    async def _run_to_end(self) -> None:
        """Up to a journaled end, from whichever phase the lease is in."""
        try:
            if self.record.phase is Phase.EXITED:
                self._report_again()
            elif (self._is_start_asked or await self._create()) and not self._is_over:
                await self._start_and_follow()
        except Exception as error:  # noqa: BLE001 - whatever it is, the lease must come to an end
            self._log.exception("runner_failed", error=type(error).__name__)
            await self._place.kill()
            self._end("lost", None, AGENT_FAILED)

    @property
    def _is_over(self) -> bool:
        return self.record.phase is Phase.EXITED or self.outbox.settled.is_set()

    async def _create(self) -> bool:
        """Build the sandbox up to a waiting container. False: the lease came to its end instead."""
        if self.record.phase is Phase.STARTING:
            return True  # found waiting
        if self._stopped.is_set() or self.outbox.settled.is_set():
            self._end("stopped", outcome.CODES["stopped"], STOPPED_EARLY)
            return False
        creating = asyncio.create_task(self._place.create(self._wanted()))
        await first(creating, self._stopped, self.outbox.settled)
        if self._stopped.is_set():
            self._end("stopped", outcome.CODES["stopped"], STOPPED_EARLY)
        if self._is_over:
            self._place.abandon()
        try:
            laps = await creating  # also when it is not wanted any more: destroy comes after
        except DriverError as error:
            self._log.warning("create_failed", error=error.message)
            self._end("start_failed", None, outcome.start_failed_message(error))
            return False
        self.record.stages = self._stages(laps)
        self._assignment = None  # scripts are not kept longer than needed
        return True

    def _wanted(self) -> Assignment:
        if self._assignment is None:
            raise AgentError("an accepted lease without its assignment")
        return self._assignment

    async def _start_and_follow(self) -> None:
        if self._is_start_asked or await self._start():
            self._report_start()
            await self._follow()

    async def _start(self) -> bool:
        """Let the script run. False: it certainly does not."""
        record = self.record
        record.phase, record.started_at, record.started_uptime_ms = (
            Phase.STARTING, machine.now_ms(), machine.uptime_ms(),
        )  # fmt: skip
        self._host.journal.write(record)
        try:
            await self._place.start()
        except DriverError as error:
            self._log.warning("start_failed", error=error.message)
            if not await self._place.is_started():
                await self._place.kill()
                self._end("start_failed", None, outcome.start_failed_message(error))
                return False
        record.phase = Phase.STARTED
        self._host.journal.write(record)
        self._log.info("started")
        return True

    async def _follow(self) -> None:
        """Move the output until the script has ended, by itself or because somebody wishes it."""
        tail = self._open_tail()
        following = asyncio.create_task(tail.follow())
        waiting = asyncio.create_task(self._place.wait())
        try:
            if self.record.cause is None:
                wishes = (self._stopped, self.outbox.settled, self.outbox.failed)
                await first(waiting, following, *wishes, timeout_s=self._left_s())
            if not waiting.done():
                await self._terminate(waiting, following)
            end = await self._place.end(waiting)
            if self.record.cause is not None and self.record.in_sandbox:
                await self._place.kill()  # what the script left in the background, too
            tail.end()
            await following
        finally:
            for task in (following, waiting):
                task.cancel()
            await asyncio.gather(following, waiting, return_exceptions=True)
        self._conclude(end, tail.dropped_bytes)

    def _open_tail(self) -> Tail:
        journal = self._host.journal
        self._output = Output(journal.output_path(self._id))
        tail = Tail(
            self._place.spool_path,
            self._output,
            self._host.limits,
            checkpoint=journal.checkpoint(self._id),
            save=lambda checkpoint: journal.write_checkpoint(self._id, checkpoint),
            on_output=self.outbox.output_grew,
        )
        self.outbox.attach(self._output)
        return tail

    def _left_s(self) -> float | None:
        """Until the timeout; it counts from the start, whichever agent saw it."""
        if self.record.timeout_s is None:
            return None
        deadline = self.record.started_uptime_ms + self.record.timeout_s * 1000
        return max(0, deadline - machine.uptime_ms()) / 1000

    async def _terminate(self, waiting: asyncio.Task[Exit], following: asyncio.Task[None]) -> None:
        """Ask the script to end, and note first why."""
        if self.record.cause is None:
            self.record.cause = self._cause(following)
            self._host.journal.write(self.record)
        self._log.info("terminating", cause=self.record.cause)
        if self.record.cause != "lost":
            await self._place.ask_to_end(waiting, self._host.config.stop_grace_ms / 1000)

    def _cause(self, following: asyncio.Task[None]) -> Outcome:
        if following.done():
            following.result()  # raises: the output cannot be followed any more
        if self.outbox.settled.is_set() or self.outbox.failed.is_set():
            return "lost"
        return "stopped" if self._stopped.is_set() else "timed_out"

    def _conclude(self, end: Exit | None, dropped_bytes: int) -> None:
        at_ms = end.at_ms if end is not None else machine.now_ms()
        if self.record.cause is not None:
            what, code = self.record.cause, outcome.CODES.get(self.record.cause)
        elif end is not None:
            what, code = outcome.of_exit(end)
        else:
            what, code = "lost", None
        message = outcome.message(what, self.record.timeout_s)
        self._end(what, code, message, at_ms=at_ms, dropped_bytes=dropped_bytes)

    def _end(
        self, what: Outcome, code: int | None, message: str, *, at_ms: int = 0, dropped_bytes: int = 0
    ) -> None:
        """Journal the end and report it. The first end of a lease stays."""
        record = self.record
        if self._is_over:
            return
        at_ms = at_ms or machine.now_ms()
        if what == "lost" and self._output is None:
            self._recover_output()
        stored = self._output.stored if self._output is not None else 0
        record.end = Finished(
            record.lease_id, record.lease_epoch, at_ms, what, code, record.log_offset + stored, dropped_bytes,
            max(0, at_ms - record.started_at) if record.started_at else None, message,
        )  # fmt: skip
        record.phase = Phase.EXITED
        self._host.journal.write(record)
        self._log.info("ended", outcome=what, exit_code=code, output=stored, dropped=dropped_bytes)
        self.outbox.finish(record.end)

    def _recover_output(self) -> None:
        """What an earlier agent had derived of a sandbox that is gone."""
        self._output = Output(self._host.journal.output_path(self._id))
        self._output.recover()
        self.outbox.attach(self._output)

    def _report_start(self) -> None:
        r = self.record
        stages = r.stages or Stages(0, 0, 0)
        self.outbox.start(Started(r.lease_id, r.lease_epoch, r.started_at, stages))

    def _report_again(self) -> None:
        """An earlier agent saw the end and could not deliver it."""
        end = self.record.end
        self._recover_output()
        if end is None or self._output is None:
            raise AgentError("an ended lease without its end")
        if end.log_bytes != self.record.log_offset + self._output.stored:
            end = outcome.lost(end, OUTPUT_GONE)
        if self.record.started_at:
            self._report_start()
        self.outbox.finish(end)

    def _stages(self, laps: dict[str, int]) -> Stages:
        record = self.record
        restored = 0
        for name, ms in laps.items():
            restored += ms
            if name == "restored":
                break
        taken = machine.now_ms() - record.accepted_at
        assigned = max(0, record.accepted_at - record.assigned_at)
        return Stages(assigned, restored, max(0, taken - restored))
