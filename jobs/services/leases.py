"""What a host says about a lease: it started, here is output, it ended. Repeated words change nothing.

Every function runs inside the transaction of the report, which holds the host's row (`host_touch`), so
that a lease read in it stays as it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import F
from django.utils import timezone

from core.wakeup import wake_on_commit
from hosts.services import host_give_room
from jobs.errors import StaleLease, WrongOffset
from jobs.logs import Record, compress
from jobs.models import Job, Lease, LogChunk
from jobs.services.transition import ImpossibleMove, change, transition
from jobs.states import JobStatus, LeaseState, Reason, SandboxState, Stream
from sandboxes.services import sandbox_wish_end
from sandboxes.states import SandboxPhase

# Attempts that failed before the script started are repeated this often without `retries`: the
# failure was ours, and nothing of the user's ran.
FREE_ATTEMPTS = 2


class Outcome(StrEnum):
    """How an attempt ended, in a host's words."""

    EXITED = "exited"
    STOPPED = "stopped"
    OOM = "oom"
    TIMED_OUT = "timed_out"
    DISK_FULL = "disk_full"
    START_FAILED = "start_failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class End:
    """The end of an attempt. `message` is a sentence for the user."""

    outcome: Outcome
    exit_code: int | None = None
    message: str = ""
    duration_ms: int | None = None
    at: datetime | None = None
    is_final: bool = False  # another attempt would end the same
    told: Reason | None = None  # where the outcome does not say why

    @property
    def reason(self) -> Reason | None:
        return self.told or REASON_OF[self.outcome]


# A kept sandbox that comes up, or is up, when a script of its ends.
STAYING = frozenset({SandboxPhase.OFFERED, SandboxPhase.RUNNING})
STATUS_OF: dict[Outcome, JobStatus] = {
    outcome: JobStatus.COMPLETED if outcome in {Outcome.EXITED, Outcome.STOPPED} else JobStatus.ERROR
    for outcome in Outcome
}
REASON_OF: dict[Outcome, Reason | None] = {
    Outcome.EXITED: None,
    Outcome.STOPPED: Reason.STOPPED,
    Outcome.OOM: Reason.OOM,
    Outcome.TIMED_OUT: Reason.TIMED_OUT,
    Outcome.DISK_FULL: Reason.DISK_FULL,
    Outcome.START_FAILED: Reason.START_FAILED,
    Outcome.LOST: Reason.HOST_LOST,
}


def lease_start(lease: Lease, at: datetime, stages: dict[str, int]) -> None:
    """The script was started. Once per lease; a repetition changes nothing."""
    if lease.state != LeaseState.OFFERED:
        return
    job = lease.job
    lease.state, lease.started_at = LeaseState.STARTED, _sane(at, job)
    offered = Lease.objects.filter(pk=lease.pk, state=LeaseState.OFFERED)
    if not offered.update(state=LeaseState.STARTED, started_at=lease.started_at):
        raise StaleLease
    is_moved = transition(
        job, JobStatus.RUNNING, event="started", detail=stages,
        sandbox=SandboxState.RUNNING, started_at=lease.started_at, timings=job.timings | stages,
    )  # fmt: skip
    if not is_moved:
        raise ImpossibleMove(f"job {job.pk} is not the one that lease {lease.pk} was read with")


def log_append(lease: Lease, offset: int, records: Sequence[Record], data: bytes) -> None:
    """Store output that begins exactly where the stored one ends."""
    job = lease.job
    if offset != job.log_bytes:
        raise WrongOffset(job.log_bytes)
    end = offset + len(data)
    same = Job.objects.filter(pk=job.pk, log_bytes=offset, attempt=lease.epoch)
    if not same.update(log_bytes=end):
        raise StaleLease
    LogChunk.objects.create(
        job_id=job.pk,
        offset=offset,
        length=len(data),
        records=[list(r) for r in records],
        data=compress(data),
    )
    job.log_bytes = end
    wake_on_commit(f"job.{job.pk}")


def note_append(job: Job, text: str) -> None:
    """Mags itself says something in the job's output. Only while no host writes to it."""
    data = f"{text}\n".encode()
    now_ms = int(timezone.now().timestamp() * 1000)
    LogChunk.objects.create(
        job_id=job.pk, offset=job.log_bytes, length=len(data),
        records=[[now_ms, Stream.PLATFORM, len(data)]], data=compress(data),
    )  # fmt: skip
    Job.objects.filter(pk=job.pk).update(log_bytes=F("log_bytes") + len(data))
    job.log_bytes += len(data)


def lease_finish(lease: Lease, end: End, *, log_bytes: int, dropped_bytes: int) -> None:
    """The attempt is over and all of its output is stored."""
    job = lease.job
    if log_bytes != job.log_bytes:
        raise WrongOffset(job.log_bytes)
    lease_end(lease, end, outcome=end.outcome, dropped_bytes=dropped_bytes)
    sandbox = lease.in_sandbox
    if sandbox is not None and not sandbox.is_kept and sandbox_wish_end(sandbox):
        wake_on_commit(f"host.{lease.host_id}")


def lease_end(lease: Lease, end: End, *, outcome: str = "", dropped_bytes: int = 0) -> None:
    """End a live lease: room goes back, and the job ends or waits for its next attempt.

    `outcome` is what the host reported; empty where we end the lease without it.
    """
    job = lease.job
    was_started = lease.state == LeaseState.STARTED
    live = Lease.objects.filter(pk=lease.pk, state=lease.state).exclude(state=LeaseState.ENDED)
    if not live.update(state=LeaseState.ENDED, outcome=outcome, ended_at=timezone.now()):
        raise StaleLease
    lease.state, lease.outcome = LeaseState.ENDED, outcome
    if lease.in_sandbox_id is None:
        host_give_room(lease.host_id, lease.memory_mb)  # after the guard above, so once
    dropped = job.dropped_bytes + dropped_bytes
    if _may_run_again(job, end, was_started=was_started):
        moved = _run_again(job, end, dropped)
    else:
        moved = _close(job, end, dropped, _sandbox_after(lease))
    if not moved:
        raise ImpossibleMove(f"job {job.pk} is not the one that lease {lease.pk} was read with")


def _sandbox_after(lease: Lease) -> SandboxState:
    """What the job has when the lease is over."""
    sandbox = lease.in_sandbox
    if sandbox is None or not sandbox.is_kept or sandbox.state not in STAYING:
        return SandboxState.NONE
    return SandboxState.RUNNING if sandbox.asleep_since is None else SandboxState.SLEEPING


def _may_run_again(job: Job, end: End, *, was_started: bool) -> bool:
    """Errors are retried, a script's own exit code is not: the script came to its end."""
    is_error = STATUS_OF[end.outcome] is JobStatus.ERROR and not end.is_final
    if not is_error or job.stop_requested_at is not None:
        return False
    return job.attempt <= job.retries + (0 if was_started else FREE_ATTEMPTS)


def _run_again(job: Job, end: End, dropped: int) -> bool:
    detail = _detail(job, end)
    note_append(job, f"[mags] attempt {job.attempt} ended ({detail['reason']}); trying again")
    changes: dict[str, Any] = {
        "assigned_at": None, "started_at": None, "sandbox": SandboxState.NONE, "timings": {},
        "dropped_bytes": dropped, "reason": "", "message": "",
    }  # fmt: skip
    if job.status == JobStatus.ACCEPTED:
        return change(job, event="retrying", detail=detail, **changes)
    return transition(job, JobStatus.ACCEPTED, event="retrying", detail=detail, **changes)


def _close(job: Job, end: End, dropped: int, sandbox: SandboxState) -> bool:
    return transition(
        job, STATUS_OF[end.outcome], event="finished", detail=_detail(job, end),
        reason=end.reason or "", message=end.message[:500], exit_code=end.exit_code, sandbox=sandbox,
        finished_at=_sane(end.at, job), script_duration_ms=end.duration_ms, dropped_bytes=dropped,
    )  # fmt: skip


def _detail(job: Job, end: End) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "attempt": job.attempt,
        "reason": end.reason,
        "exit_code": end.exit_code,
    }
    if end.message:
        detail["message"] = end.message[:500]
    return detail


def _sane(at: datetime | None, job: Job) -> datetime:
    """A host's time, moved into what our own clock allows: hosts' clocks and words are not trusted."""
    now = timezone.now()
    return min(max(at, job.started_at or job.assigned_at or job.created_at), now) if at else now
