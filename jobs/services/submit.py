"""What people do to jobs: submit, stop, rename."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiToken, User
from core.errors import Unavailable
from hosts.models import Host
from hosts.services import host_revision_next
from jobs.errors import NeverFits
from jobs.models import Job, JobEvent, Lease
from jobs.services import schedule
from jobs.services.transition import announce, change, transition, wake_on_commit
from jobs.states import JOB_FINAL, JobStatus, LeaseState, Reason

STOPPED_EXIT_CODE = 143  # 128 + SIGTERM, also where no process existed yet
STOP_TRIES = 5  # a stop starts over when the job got, lost or changed its host meanwhile


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a user asked for, already validated. `vcpus` and `memory_mb` may be left to us."""

    script: str
    name: str = ""
    environment: dict[str, str] | None = None
    image: str = "standard"
    vcpus: int | None = None
    memory_mb: int | None = None
    disk_gb: int = 2
    timeout_s: int | None = None
    retries: int = 0


DEFAULT_VCPUS = 2
DEFAULT_MEMORY_MB = 1024


class _Raced(Exception):
    """The job moved between reading and writing it: undo, read again."""


def job_submit(owner: User, token: ApiToken | None, spec: JobSpec) -> Job:
    """Create a job and, if there is room, give it a host in the same transaction.

    Raises NeverFits where hosts are known and none could ever hold it.
    """
    now = timezone.now()
    hosts = schedule.hosts_known()
    vcpus, memory_mb = _size(spec, hosts)
    job = Job(
        owner=owner, token=token, script=spec.script, name=spec.name, environment=spec.environment or {},
        image=spec.image, vcpus=vcpus, memory_mb=memory_mb, disk_gb=spec.disk_gb, timeout_s=spec.timeout_s,
        retries=spec.retries, created_at=now, changed_at=now, revision=1,
    )  # fmt: skip
    events = [JobEvent(job_id=job.pk, at=now, kind="submitted")]
    with transaction.atomic(savepoint=False):
        # Whoever waits was first: a new job does not pass them, it joins them.
        host = None if schedule.is_waited() else schedule.place(job, hosts)
        changes = schedule.assigned(job, now) if host else schedule.waits(job, hosts)
        for name, value in changes.items():
            setattr(job, name, value)
        job.save(force_insert=True)
        if host:
            events.append(schedule.offer(job, host))
        else:
            transaction.on_commit(schedule.schedule_waiting)
        JobEvent.objects.bulk_create(events)
        announce(job)
    return job


def _size(spec: JobSpec, hosts: list[Host]) -> tuple[int, int]:
    """The vcpus and memory of the job; defaults shrink to the largest host, explicit wishes do not."""
    sizes = [(host.capacity_vcpus, host.capacity_memory_mb) for host in hosts]
    if not sizes:
        return spec.vcpus or DEFAULT_VCPUS, spec.memory_mb or DEFAULT_MEMORY_MB
    most_vcpus, most_memory_mb = (max(column) for column in zip(*sizes, strict=True))
    vcpus = spec.vcpus or min(DEFAULT_VCPUS, most_vcpus)
    memory_mb = spec.memory_mb or min(DEFAULT_MEMORY_MB, most_memory_mb)
    if any(vcpus <= most_v and memory_mb <= most_m for most_v, most_m in sizes):
        return vcpus, memory_mb
    raise _never_fits(vcpus, memory_mb, most_vcpus, most_memory_mb)


def _never_fits(vcpus: int, memory_mb: int, most_vcpus: int, most_memory_mb: int) -> NeverFits:
    fields = {}
    if vcpus > most_vcpus:
        fields["vcpus"] = f"At most {most_vcpus}: the largest host has no more."
    if memory_mb > most_memory_mb:
        fields["memory_mb"] = f"At most {most_memory_mb}: the largest host has no more."
    words = " ".join(f"{name}: {text}" for name, text in fields.items())
    return NeverFits(words or "No host has that many vcpus and that much memory together.", fields=fields)


def job_stop(job: Job) -> Job:
    """Ask for the end of a job. Idempotent; a job that has no host ends at once."""
    for _ in range(STOP_TRIES):
        if job.status in JOB_FINAL or job.stop_requested_at is not None:
            return job
        with contextlib.suppress(_Raced), transaction.atomic():
            if _stop_leased(job) or _stop_waiting(job):
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


def _stop_waiting(job: Job) -> bool:
    if job.status != JobStatus.ACCEPTED:
        return False
    now = timezone.now()
    return transition(
        job, JobStatus.COMPLETED, event="finished",
        detail={"reason": Reason.STOPPED, "exit_code": STOPPED_EXIT_CODE},
        guard=Q(assigned_at__isnull=True), reason=Reason.STOPPED, message="", exit_code=STOPPED_EXIT_CODE,
        stop_requested_at=now, finished_at=now,
    )  # fmt: skip


def job_update(job: Job, *, name: str) -> Job:
    """Rename a job, whatever its state."""
    while job.name != name:
        with transaction.atomic():
            if change(job, event="renamed", detail={"name": name}, name=name):
                break
        job.refresh_from_db()
    return job
