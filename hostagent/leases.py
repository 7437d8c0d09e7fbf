"""The leases of this host: what the server says should exist, against what the journal and the driver
say does."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from hostagent import machine, outcome, wire
from hostagent.drivers.base import Found, FoundRun
from hostagent.drivers.base import Phase as SandboxPhase
from hostagent.errors import AgentError, DriverError
from hostagent.insiders import Insider
from hostagent.journal import Phase, Record
from hostagent.outbox import Outbox
from hostagent.runner import Host, Runner
from hostagent.sandbox import Place, Sandbox
from hostagent.sandboxes import Sandboxes

logger = structlog.get_logger(__name__)

# Ids of leases that ended here. A poll answer made before their end may arrive after it, and must not start
# them again; polls take at most a minute, and nobody ends this many leases in one.
ENDED_LIMIT = 100_000

REBOOTED = "The host was restarted while the job ran."
VANISHED = "The sandbox is gone: it was removed on the host while no agent ran."

_REPORTED_AS: dict[Phase, wire.ReportedPhase] = {
    Phase.ACCEPTED: "accepted",
    Phase.STARTING: "starting",
    Phase.STARTED: "running",
    Phase.EXITED: "exited",
}


class Leases:
    """Each has a runner from the moment it is accepted until nothing is left of it."""

    def __init__(self, host: Host, sandboxes: Sandboxes) -> None:
        self._host = host
        self._sandboxes = sandboxes
        self._boot_id = machine.boot_id()
        self._runners: dict[int, Runner] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: dict[int, Outbox] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()

    @property
    def own_sandboxes(self) -> int:
        """How many have a sandbox for themselves."""
        return sum(not runner.record.in_sandbox for runner in self._runners.values())

    async def detach(self) -> None:
        """Let go of all; the sandboxes stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def restore(self, found: Iterable[Found]) -> None:
        """Take over what an earlier agent left. What the journal does not know is destroyed."""
        lives: dict[str, Found | FoundRun] = {}
        for sandbox in found:
            if not sandbox.is_held and self._sandboxes.get(sandbox.sandbox_id) is None:
                lives[sandbox.sandbox_id] = sandbox
            lives |= {run.key: run for run in sandbox.runs}
        for record in self._host.journal.load():
            runner = self._restored(record, lives.pop(record.life, None))
            self._runners[record.lease_id] = runner
            if runner.is_idle:  # the boot's answer says whether to build it anew
                await self._destroy(record.life)
            else:
                self._run(runner)
        known = {runner.record.sandbox_id for runner in self._runners.values()}
        self._host.uploads.retain(known | self._sandboxes.ids())
        for life in lives:
            logger.warning("orphan_destroyed", life=life)
            await self._destroy(life)

    def _restored(self, record: Record, found: Found | FoundRun | None) -> Runner:
        phase = found.phase if found else None
        is_accepted = record.phase is Phase.ACCEPTED  # then nothing of it was started, whatever there is
        is_started = not is_accepted and phase in (SandboxPhase.RUNNING, SandboxPhase.EXITED)
        is_waiting = record.phase is Phase.STARTING and phase is SandboxPhase.CREATED
        log = logger.bind(lease=record.lease_id, sandbox=record.sandbox_id)
        log.info("lease_restored", journal=record.phase, found=phase)
        runner = self._runner(record, is_start_asked=is_started)
        if record.phase is Phase.EXITED:
            return runner
        if record.machine_boot_id != self._boot_id:
            runner.lose(REBOOTED)
        elif not (is_accepted or is_started or is_waiting):
            runner.lose(VANISHED)
        return runner

    async def _destroy(self, life: str) -> None:
        driver = self._host.driver
        try:
            await (driver.runs if "." in life else driver).destroy(life)
        except DriverError as error:
            logger.warning("destroy_failed", life=life, error=error.message)

    def _runner(self, record: Record, *, is_start_asked: bool = False) -> Runner:
        runner = Runner(self._host, record, self._place(record), is_start_asked=is_start_asked)
        if record.in_sandbox and (keeper := self._sandboxes.get(record.sandbox_id)):
            keeper.enter(record.lease_id, runner)
        return runner

    def _place(self, record: Record) -> Place:
        host, log = self._host, logger.bind(sandbox=record.sandbox_id, lease=record.lease_id)
        if not record.in_sandbox:
            return Sandbox(host.driver, host.library, record.sandbox_id, host.uploads, log)
        return Insider(host.driver, self._sandboxes.get(record.sandbox_id), record, host.uploads, log)

    def reported(self) -> list[wire.ReportedLease]:
        """For the boot."""
        return [
            wire.ReportedLease(r.record.lease_id, r.record.lease_epoch, _REPORTED_AS[r.record.phase])
            for r in self._runners.values()
        ]

    def apply(self, assignments: Iterable[msgspec.Raw], drop: Iterable[int]) -> None:
        """What the server wishes. Returns at once: runners do the work."""
        for lease_id in drop:
            if lease_id in self._runners:
                logger.info("lease_dropped", lease=lease_id)
                self._runners[lease_id].drop()
        for raw in assignments:
            try:
                self._assign(wire.assignment_of(raw))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse(wire.key_of(raw), f"its assignment is invalid: {error}")

    def drop_unassigned(self) -> None:
        """After the boot: an accepted lease that the server does not speak of is over."""
        for runner in [r for r in self._runners.values() if r.is_idle]:
            runner.drop()
            self._run(runner)

    def _assign(self, assignment: wire.Assignment) -> None:
        runner = self._runners.get(assignment.lease_id) or self._accepted(assignment)
        if runner is None:
            return
        ours = (runner.record.lease_epoch, runner.record.sandbox_id)
        if ours != (assignment.lease_epoch, assignment.sandbox_id):
            logger.error("assignment_contradicts", lease=assignment.lease_id)
            return
        if assignment.wish == "stop":
            runner.stop()
        if runner.is_idle:
            runner.give(assignment)
            self._run(runner)

    def _accepted(self, a: wire.Assignment) -> Runner | None:
        """A runner for a lease that is new here; None where it is not, or must not be taken."""
        if a.lease_id in self._ended or a.lease_id in self._refused:
            return None
        record = Record(
            a.lease_id, a.lease_epoch, a.sandbox_id, a.job_id, self._boot_id, machine.now_ms(), a.assigned_at,
            a.log_offset, a.timeout_s, in_sandbox=a.in_sandbox,
        )  # fmt: skip
        if self._is_taken(record):
            self._refuse(a, "its sandbox id is in use")
            return None
        self._host.journal.write(record)
        runner = self._runners[a.lease_id] = self._runner(record)
        logger.info("accepted", job=a.job_id, sandbox=a.sandbox_id, lease=a.lease_id)
        return runner

    def _is_taken(self, record: Record) -> bool:
        """Whether the driver knows something else by the name that the script would get."""
        if not record.in_sandbox and self._sandboxes.get(record.sandbox_id) is not None:
            return True
        return any(runner.record.life == record.life for runner in self._runners.values())

    def _refuse(self, key: wire.LeaseKey | None, why: str) -> None:
        """An assignment that cannot be trusted: say so, if it can be said whose it is; touch nothing."""
        logger.error("assignment_refused", lease=key.lease_id if key else None, why=why)
        if key is None or key.lease_id in self._runners or key.lease_id in self._refused:
            return
        outbox = self._refused[key.lease_id] = Outbox(key, self._host.wake)
        message = outcome.start_failed_message(AgentError(f"the host refused the job: {why}"))
        outbox.finish(
            wire.Finished(
                key.lease_id, key.lease_epoch, machine.now_ms(), "start_failed", None,
                log_bytes=key.log_offset, dropped_bytes=0, duration_ms=None, message=message,
            )
        )  # fmt: skip

    def _run(self, runner: Runner) -> None:
        runner.is_idle = False
        task = asyncio.create_task(runner.run(), name=f"lease {runner.record.lease_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._on_gone(runner, done))

    def _on_gone(self, runner: Runner, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        lease_id = runner.record.lease_id
        self._runners.pop(lease_id, None)
        if runner.record.in_sandbox and (keeper := self._sandboxes.get(runner.record.sandbox_id)):
            keeper.occupants.forget(lease_id)
        self._ended[lease_id] = None
        if len(self._ended) > ENDED_LIMIT:
            self._ended.popitem(last=False)
        if error := task.exception():
            logger.error("runner_died", lease=lease_id, error=repr(error))

    def status(self) -> list[dict[str, Any]]:
        """For people."""
        return [
            {
                "lease": r.lease_id, "job": r.job_id, "sandbox": r.sandbox_id, "phase": r.phase,
                "started_at": r.started_at or None,
            }
            for r in (runner.record for runner in self._runners.values())
        ]  # fmt: skip
