"""Which host runs which job, and why a job still waits."""

from __future__ import annotations

import secrets
import string
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.prepared import Prepared
from hosts.models import Host
from hosts.services import host_revision_next, host_take_room
from jobs.models import Job, JobEvent, Lease
from jobs.services.transition import change, wake_on_commit
from jobs.states import JobStatus, LeaseState, Reason

# A job that found no room for this long stops younger ones from passing it, so that a stream of small
# jobs cannot keep a large one waiting for ever. Below it, small jobs use the room that is left.
PASS_OVER_LIMIT_S = 60
QUEUE_LIMIT = 50  # jobs of one owner looked at in one pass
EXPLAIN_LIMIT = 1000  # waiting jobs looked at in one pass, the oldest
SANDBOX_ID_ALPHABET = string.ascii_lowercase + string.digits

NO_HOST = "No host is online. The job starts as soon as one is."
ALL_DRAINING = "Every host is draining. The job starts as soon as one takes work again."
ALL_FULL = "Every host is full. The job starts as soon as there is room."
TOO_LARGE_NOW = "No host that is online is large enough. The job starts as soon as one is."


class _Lost(Exception):
    """Somebody else moved the job while we took room for it; the room goes back by rollback."""


def waiting() -> QuerySet[Job]:
    """Jobs without a host, whoever owns them."""
    return Job.objects.filter(status=JobStatus.ACCEPTED, assigned_at__isnull=True)


_WAITING = Prepared(lambda: waiting().only("pk")[:1])
_HOSTS_KNOWN = Prepared(lambda: Host.objects.filter(revoked_at__isnull=True, boot_epoch__gt=0))


def is_waited() -> bool:
    """Whether any job is without a host."""
    return _WAITING.first() is not None


def hosts_known() -> list[Host]:
    """Hosts that have booted and may come back, read once for a submit or a pass: one plain query
    and a choice in Python cost less than a query that chooses."""
    return _HOSTS_KNOWN.all()


def open_ones(hosts: Iterable[Host]) -> list[Host]:
    """Those that take work now, perhaps full."""
    return [host for host in hosts if host.is_online and not (host.is_draining or host.is_agent_draining)]


def place(job: Job, hosts: Iterable[Host]) -> Host | None:
    """Take room for `job` on the least loaded of `hosts` that has it. What was read of them is only
    a guess by now: `host_take_room` decides."""
    for host in sorted(open_ones(hosts), key=_load):
        if _could_fit(job, host) and _has_room(host) and host_take_room(host.pk, job.memory_mb):
            return host
    return None


def _load(host: Host) -> float:
    return host.used_sandboxes / max(host.capacity_sandboxes, 1)


def _has_room(host: Host) -> bool:
    return host.used_sandboxes < host.capacity_sandboxes


def _could_fit(job: Job, host: Host) -> bool:
    """Whether the host is large enough when it is empty."""
    return job.memory_mb <= host.capacity_memory_mb and job.vcpus <= host.capacity_vcpus


def offer(job: Job, host: Host) -> JobEvent:
    """Give the placed job's present attempt to `host`, and wake it. The event is for the caller to store."""
    Lease.objects.create(
        job_id=job.pk,
        host=host,
        epoch=job.attempt,
        sandbox_id="".join(secrets.choice(SANDBOX_ID_ALPHABET) for _ in range(16)),
        revision=host_revision_next(host.pk),
        log_offset=job.log_bytes,
        memory_mb=job.memory_mb,
    )
    detail = {"host": host.name, "attempt": job.attempt}
    wake_on_commit(f"host.{host.pk}")
    return JobEvent(job_id=job.pk, kind="assigned", detail=detail)


def assigned(job: Job, now: datetime) -> dict[str, Any]:
    """What changes about a job that gets a host."""
    since = job.created_at
    if job.attempt:
        former = Lease.objects.filter(job_id=job.pk, epoch=job.attempt)
        since = former.values_list("ended_at", flat=True).first() or since
    return {
        "attempt": job.attempt + 1,
        "assigned_at": now,
        "reason": "",
        "message": "",
        "timings": {"queued": max(0, round((now - since) / timedelta(milliseconds=1)))},
    }


def waits(job: Job, hosts: Iterable[Host]) -> dict[str, Any]:
    """Why a job goes on waiting: the reason, and the same in a sentence."""
    online = [host for host in hosts if host.is_online]
    if not online:
        return {"reason": Reason.NO_HOST, "message": NO_HOST}
    if not open_ones(online):
        return {"reason": Reason.NO_HOST, "message": ALL_DRAINING}
    is_full = any(_could_fit(job, host) for host in open_ones(online))
    return {"reason": Reason.NO_CAPACITY, "message": ALL_FULL if is_full else TOO_LARGE_NOW}


def schedule_waiting(*, explain: bool = False) -> int:
    """Start what fits, oldest first and fairly among owners. Returns how many got a host.

    Call it after the commit that may have made room: then, of a submit that saw no room and an end
    that saw no waiting job, at least one sees the other. `explain` rewrites the reasons of those that
    go on waiting; it is for when hosts came, went or changed.
    """
    if not is_waited():
        return 0
    hosts = hosts_known()
    count = 0
    for job in _fair_order():
        if not any(_has_room(host) for host in open_ones(hosts)):
            break
        if _assign(job, hosts):
            count += 1
        elif _is_overdue(job) and any(_could_fit(job, host) for host in open_ones(hosts)):
            break
    if explain:
        _explain(hosts)
    return count


def _is_overdue(job: Job) -> bool:
    return timezone.now() - job.created_at > timedelta(seconds=PASS_OVER_LIMIT_S)


def _fair_order() -> Iterator[Job]:
    """Waiting jobs in the order in which they may start: next is the oldest job of the owner with the
    fewest live sandboxes, counting the jobs that were named before."""
    live = Lease.objects.exclude(state=LeaseState.ENDED)
    counts = Counter(live.values_list("job__owner_id", flat=True))
    queues: dict[int, deque[Job]] = {}
    for owner in waiting().values_list("owner_id", flat=True).distinct():
        oldest = waiting().filter(owner_id=owner).defer("script", "environment").order_by("created_at")
        queues[owner] = deque(oldest[:QUEUE_LIMIT])
    while queues := {owner: queue for owner, queue in queues.items() if queue}:
        owner = min(queues, key=lambda owner: (counts[owner], queues[owner][0].created_at))
        yield queues[owner].popleft()
        counts[owner] += 1


def _assign(job: Job, hosts: list[Host]) -> bool:
    try:
        with transaction.atomic():
            host = place(job, hosts)
            if host is None:
                return False
            changes = assigned(job, timezone.now())
            if not change(job, event=None, guard=Q(assigned_at__isnull=True), **changes):
                raise _Lost
            offer(job, host).save()
    except _Lost:
        return False
    host.used_sandboxes += 1  # for the rest of the pass
    return True


def _explain(hosts: list[Host]) -> None:
    """Tell those who wait why, where the reason is another one now."""
    for job in waiting().defer("script", "environment").order_by("created_at")[:EXPLAIN_LIMIT]:
        changes = waits(job, hosts)
        if job.message != changes["message"]:
            with transaction.atomic():
                change(job, event=None, guard=Q(assigned_at__isnull=True), **changes)
