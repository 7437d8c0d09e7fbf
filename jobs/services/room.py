"""What a job that gets a host takes from it, and why one without a host waits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from core.prepared import Prepared
from core.wakeup import wake_on_commit
from hosts.models import Host
from hosts.services import host_revision_next, host_take_room
from jobs.models import Job, JobEvent, Lease
from jobs.states import Reason
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_id_make

NO_HOST = "No host is online. The job starts as soon as one is."
ALL_DRAINING = "Every host is draining. The job starts as soon as one takes work again."
ALL_FULL = "Every host is full. The job starts as soon as there is room."
TOO_LARGE_NOW = "No host that is online is large enough. The job starts as soon as one is."


class Need(Protocol):
    """What is placed: a job, or a sandbox without one."""

    vcpus: int
    memory_mb: int


_HOSTS_KNOWN = Prepared(lambda: Host.objects.filter(revoked_at__isnull=True, boot_epoch__gt=0))


def hosts_known() -> list[Host]:
    """Hosts that have booted and may come back, read once for a submit or a pass: one plain query
    and a choice in Python cost less than a query that chooses."""
    return _HOSTS_KNOWN.all()


def open_ones(hosts: Iterable[Host]) -> list[Host]:
    """Those that take work now, perhaps full."""
    return [host for host in hosts if host.is_online and not (host.is_draining or host.is_agent_draining)]


def place(need: Need, hosts: Iterable[Host], *, first: UUID | None = None) -> Host | None:
    """Take room for `need` on the least loaded of `hosts` that has it, or on `first` where that can be.
    What was read of them is only a guess by now: `host_take_room` decides."""
    for host in sorted(open_ones(hosts), key=lambda host: (host.pk != first, _load(host))):
        if could_fit(need, host) and has_room(host) and host_take_room(host.pk, need.memory_mb):
            return host
    return None


def _load(host: Host) -> float:
    return host.used_sandboxes / max(host.capacity_sandboxes, 1)


def has_room(host: Host) -> bool:
    return host.used_sandboxes < host.capacity_sandboxes


def could_fit(need: Need, host: Host) -> bool:
    """Whether the host is large enough when it is empty."""
    return need.memory_mb <= host.capacity_memory_mb and need.vcpus <= host.capacity_vcpus


def offer(job: Job, host: Host, sandbox: Sandbox | None = None) -> JobEvent:
    """Give the placed job's present attempt to `host`, in a sandbox that is there for more than it or in
    one of its own, and wake the host. The event is for the caller to store."""
    Lease.objects.create(
        job_id=job.pk,
        host=host,
        epoch=job.attempt,
        sandbox_id=sandbox.pk if sandbox else sandbox_id_make(),
        in_sandbox=sandbox,
        revision=host_revision_next(host.pk),
        log_offset=job.log_bytes,
        memory_mb=0 if sandbox else job.memory_mb,
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


def waits(need: Need, hosts: Iterable[Host]) -> dict[str, Any]:
    """Why it goes on waiting: the reason, and the same in a sentence."""
    online = [host for host in hosts if host.is_online]
    if not online:
        return {"reason": Reason.NO_HOST, "message": NO_HOST}
    if not open_ones(online):
        return {"reason": Reason.NO_HOST, "message": ALL_DRAINING}
    is_full = any(could_fit(need, host) for host in open_ones(online))
    return {"reason": Reason.NO_CAPACITY, "message": ALL_FULL if is_full else TOO_LARGE_NOW}
