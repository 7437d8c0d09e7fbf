"""What people do to jobs: submit, stop, rename, publish."""

from __future__ import annotations

import contextlib
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiToken, User
from core.errors import Unavailable
from hosts.services import host_revision_next
from jobs.errors import NotPersistent
from jobs.models import Job, JobEvent, Lease
from jobs.services import room, schedule
from jobs.services.held import STOPPED_EXIT_CODE, sandbox_over
from jobs.services.spec import JobSpec, job_make
from jobs.services.submit_held import job_submit_held
from jobs.services.transition import announce, change, transition, wake_on_commit
from jobs.states import JOB_FINAL, JobStatus, LeaseState, Reason, SandboxState
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_lock, sandbox_wish_end
from sandboxes.states import SandboxEnd, SandboxPhase

STOP_TRIES = 5  # a stop starts over when the job got, lost or changed its host meanwhile


class _Raced(Exception):
    """The job moved between reading and writing it: undo, read again."""


def job_submit(owner: User, token: ApiToken | None, spec: JobSpec) -> Job:
    """Create a job and, if there is room, give it a host in the same transaction.

    Raises NeverFits where hosts are known and none could ever hold it, and what `job_submit_held` raises.
    """
    if spec.is_held:
        return job_submit_held(owner, token, spec)
    now = timezone.now()
    hosts = room.hosts_known()
    job = job_make(owner, token, spec, hosts, created_at=now, changed_at=now)
    events = [JobEvent(job_id=job.pk, at=now, kind="submitted")]
    with transaction.atomic(savepoint=False):
        # Whoever waits was first: a new job does not pass them, it joins them.
        host = None if schedule.is_waited() else room.place(job, hosts)
        changes = room.assigned(job, now) if host else room.waits(job, hosts)
        for name, value in changes.items():
            setattr(job, name, value)
        job.save(force_insert=True)
        if host:
            events.append(room.offer(job, host))
        else:
            transaction.on_commit(schedule.schedule_waiting)
        JobEvent.objects.bulk_create(events)
        announce(job)
    return job


def job_stop(job: Job) -> Job:
    """Ask for the end of a job, and of the sandbox that it has. Idempotent; a job that has no host ends
    at once."""
    for _ in range(STOP_TRIES):
        is_final = job.status in JOB_FINAL
        if job.sandbox == SandboxState.NONE if is_final else job.stop_requested_at is not None:
            return job
        with contextlib.suppress(_Raced), transaction.atomic():
            # Locks the host's row, before the job's.
            sandbox = sandbox_lock(job.in_sandbox_id) if job.in_sandbox_id else None
            if is_final or _stop_leased(job) or _stop_waiting(job, sandbox):
                _stop_sandbox(job, sandbox)
                return job
        job.refresh_from_db()
    raise Unavailable("The job is changing hosts; the stop could not be recorded.")


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
    if is_stopped and sandbox is not None and sandbox.state == SandboxPhase.WAITING:
        sandbox_over(sandbox, SandboxEnd.STOPPED)
    return is_stopped


def _stop_sandbox(job: Job, sandbox: Sandbox | None) -> None:
    """The sandbox ends too, and with it the script of another job that is in it now."""
    if sandbox is None or not sandbox_wish_end(sandbox):
        return
    wake_on_commit(f"host.{sandbox.host_id}")
    others = Job.objects.filter(in_sandbox=sandbox, stop_requested_at__isnull=True)
    for other in others.exclude(pk=job.pk).exclude(status__in=JOB_FINAL):
        _stop_leased(other)


def job_update(job: Job, *, name: str) -> Job:
    """Rename a job, whatever its state."""
    return _set(job, event="renamed", name=name)


def job_open_url(job: Job, port: int) -> Job:
    """Let the job's public URL lead to this port, from now on."""
    if job.in_sandbox_id is None:
        raise NotPersistent("The sandbox of this job cannot be reached: it lives with its script only.")
    return _set(job, event="url_opened", url_port=port)


def _set(job: Job, *, event: str, **wanted: Any) -> Job:
    """Whatever its state; nothing happens where it is so already."""
    while any(getattr(job, name) != value for name, value in wanted.items()):
        with transaction.atomic():
            if change(job, event=event, detail=wanted, **wanted):
                break
        job.refresh_from_db()
    return job
