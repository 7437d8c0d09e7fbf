"""The only writer of a job's status, and of everything else about a job that people can see.

A change is a guarded UPDATE: it applies only where the job still has the status and the attempt that the
caller saw. The event is written in the same transaction; whoever waits is woken when it commits.

Lock order, for databases with row locks: the host's row first, then the job's. Everyone who needs both
takes the host first (`host_take_room`, `host_revision_next`, `host_touch`).
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from core.live import Topic, tell
from core.wakeup import wake_on_commit
from jobs.models import Job, JobEvent
from jobs.states import JOB_TRANSITIONS, JobStatus


class ImpossibleMove(Exception):
    """Our own mistake: a move that `JOB_TRANSITIONS` does not have."""


class Lost(Exception):
    """Somebody else moved the job after it was read: undo, so that room that was taken for it goes back."""


def transition(
    job: Job,
    to: JobStatus,
    *,
    event: str | None,
    detail: dict[str, Any] | None = None,
    guard: Q | None = None,
    **changes: Any,
) -> bool:
    """Move `job` on from the status it was read with. False if somebody else was first."""
    if to not in JOB_TRANSITIONS[JobStatus(job.status)]:
        raise ImpossibleMove(f"{job.status} -> {to}")
    return change(job, event=event, detail=detail, guard=guard, status=to, **changes)


def change(
    job: Job,
    *,
    event: str | None,
    detail: dict[str, Any] | None = None,
    guard: Q | None = None,
    **changes: Any,
) -> bool:
    """Write what people see of `job`, if it still has the status and the attempt it was read with."""
    changes["changed_at"] = timezone.now()
    same = Job.objects.filter(guard or Q(), pk=job.pk, status=job.status, attempt=job.attempt)
    if not same.update(revision=F("revision") + 1, **changes):
        return False
    for name, value in changes.items():
        setattr(job, name, value)
    job.revision += 1
    if event is not None:
        JobEvent.objects.create(job_id=job.pk, kind=event, detail=detail or {})
    announce(job)
    return True


def announce(job: Job) -> None:
    """Wake everybody who watches this job, once the transaction commits; also the pages of its sandbox and
    its workspace, which say what job is in them."""
    wake_on_commit(f"job.{job.pk}")
    is_held = job.is_persistent or job.in_sandbox_id is not None
    tell(job.owner_id, Topic.JOBS, *([Topic.SANDBOXES] if is_held else []))
