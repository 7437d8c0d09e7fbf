"""Stops: of a job, and of the sandbox that it has, had, or is about to have again."""

from __future__ import annotations

import contextlib

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core.errors import Unavailable
from core.wakeup import wake_on_commit
from hosts.services import host_revision_next
from jobs.models import Job, Lease
from jobs.services.held import STOPPED_EXIT_CODE, sandbox_over
from jobs.services.transition import change, transition
from jobs.states import JOB_FINAL, JobStatus, LeaseState, Reason, SandboxState
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_lock, sandbox_put_away, sandbox_wish_end
from sandboxes.states import SandboxEnd, SandboxPhase

STOP_TRIES = 5  # a stop starts over when the job got, lost or changed its host meanwhile


class _Raced(Exception):
    """The job moved between reading and writing it: undo, read again."""


def job_stop(job: Job) -> Job:
    """Ask for the end of a job, and of the sandbox that it has. Idempotent; what has no host ends at once.
    Its sandbox stays away then until its owner wants it."""
    for _ in range(STOP_TRIES):
        if _is_stopped(job):
            return job
        with contextlib.suppress(_Raced), transaction.atomic():
            # Locks the host's row, before the job's.
            sandbox = sandbox_lock(job.in_sandbox_id) if job.in_sandbox_id else None
            if job.status in JOB_FINAL:
                _stop_ended(job, sandbox)
                return job
            if _stop_leased(job):
                if sandbox is not None and (job.is_persistent or not sandbox.is_kept):
                    _stop_sandbox(job, sandbox)  # else it is there for others too
                return job
            if _stop_waiting(job, sandbox):
                return job
        job.refresh_from_db()
    raise Unavailable("The job is changing hosts; the stop could not be recorded.")


def _is_stopped(job: Job) -> bool:
    """Whether nothing is left to be asked for. A sandbox that is coming up again may not be shown yet."""
    if job.status not in JOB_FINAL:
        return job.stop_requested_at is not None
    if job.sandbox != SandboxState.NONE or job.in_sandbox_id is None:
        return job.sandbox == SandboxState.NONE
    live = Sandbox.objects.filter(pk=job.in_sandbox_id).exclude(state=SandboxPhase.ENDED)
    return not live.filter(Q(is_put_away=False) | ~Q(next_for="")).exists()


def _stop_leased(job: Job) -> bool:
    lease = Lease.objects.exclude(state=LeaseState.ENDED).filter(job_id=job.pk).first()
    if lease is None:
        return False
    revision = host_revision_next(lease.host_id)  # locks the host's row, before the job's
    live = Lease.objects.exclude(state=LeaseState.ENDED).filter(pk=lease.pk)
    if not live.update(is_stop_wished=True, revision=revision):
        return False
    if not change(job, event="stop_requested", stop_requested_at=timezone.now()):
        raise _Raced
    wake_on_commit(f"host.{lease.host_id}")
    return True


def _stop_waiting(job: Job, sandbox: Sandbox | None) -> bool:
    if job.status != JobStatus.ACCEPTED:
        return False
    now = timezone.now()
    is_stopped = transition(
        job, JobStatus.COMPLETED, event="finished",
        detail={"reason": Reason.STOPPED, "exit_code": STOPPED_EXIT_CODE},
        guard=Q(assigned_at__isnull=True), reason=Reason.STOPPED, message="", exit_code=STOPPED_EXIT_CODE,
        stop_requested_at=now, finished_at=now,
    )  # fmt: skip
    if is_stopped and sandbox is not None and (job.is_persistent or _is_its_own(sandbox)):
        _stop_sandbox(job, sandbox)
    return is_stopped


def _is_its_own(sandbox: Sandbox) -> bool:
    """Made for the job that waits in it, and so for nobody else."""
    return sandbox.state == SandboxPhase.WAITING and not sandbox.made_for


def _stop_ended(job: Job, sandbox: Sandbox | None) -> None:
    """Its script is over; its sandbox lives, or may come back."""
    if sandbox is not None:
        _stop_sandbox(job, sandbox)
        return
    same = Q(sandbox=job.sandbox) & Q(in_sandbox_id=job.in_sandbox_id)  # or it just got another one
    if not change(
        job, event="sandbox_stopped", guard=same, sandbox=SandboxState.NONE, sandbox_message="",
        recover_at=None, down_since=None,
    ):  # fmt: skip
        raise _Raced


def _stop_sandbox(job: Job, sandbox: Sandbox) -> None:
    """The sandbox ends too, and with it the script of another job that is in it now."""
    sandbox_put_away(sandbox)
    if sandbox.state == SandboxPhase.WAITING:
        sandbox_over(sandbox, SandboxEnd.STOPPED)
        return
    if not sandbox_wish_end(sandbox):
        return
    wake_on_commit(f"host.{sandbox.host_id}")
    others = Job.objects.filter(in_sandbox=sandbox, stop_requested_at__isnull=True)
    for other in others.exclude(pk=job.pk).exclude(status__in=JOB_FINAL):
        _stop_leased(other)
