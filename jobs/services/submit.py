"""Submits."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts.models import ApiToken, User
from jobs.models import Job, JobEvent
from jobs.services import room, schedule
from jobs.services.spec import JobSpec, job_make, spec_within
from jobs.services.submit_held import job_submit_held
from jobs.services.transition import announce


def job_submit(owner: User, token: ApiToken | None, spec: JobSpec) -> Job:
    """Create a job and, if there is room, give it a host in the same transaction.

    Raises NeverFits where hosts are known and none could ever hold it, and what `spec_within` and
    `job_submit_held` raise.
    """
    spec = spec_within(owner, spec)
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
