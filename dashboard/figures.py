"""What there is of everything, in numbers: for the page of health and for /metrics.

Each is one query that an index serves or that reads a small table, but for sums over all jobs and objects:
those are kept for SLOW_S.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from execs.models import Exec
from execs.states import ExecState
from files.models import Upload
from hosts.models import Host
from hosts.states import HostState
from jobs.models import FleetWatch, Job, Lease
from jobs.states import JOB_FINAL, JobStatus, LeaseState
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase
from workspaces.models import StoredObject, Workspace

SLOW_S = 15.0
FAILURE_WINDOW = timedelta(hours=1)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Queue:
    length: int
    oldest_s: float  # 0: nobody waits


@dataclass(frozen=True, slots=True)
class Storage:
    stored_bytes: int  # of versions, as last known: not what the bucket says
    upload_bytes: int
    database_bytes: int
    disk_free_bytes: int  # where MAGS_VAR_DIR is
    disk_total_bytes: int


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows that nobody holds any more. The sweep ends them within seconds, so that they should all be 0."""

    leases: int  # of jobs that have ended, or on hosts that were revoked
    sandboxes: int  # on hosts that were revoked
    workspaces: int  # held by a sandbox that has ended

    @property
    def total(self) -> int:
        return self.leases + self.sandboxes + self.workspaces


def _kept_for_a_while(read: Callable[[], T]) -> Callable[[], T]:
    kept: list[tuple[float, T]] = []

    @wraps(read)
    def kept_or_read() -> T:
        if not kept or time.monotonic() - kept[0][0] >= SLOW_S:
            kept[:] = [(time.monotonic(), read())]
        return kept[0][1]

    return kept_or_read


@_kept_for_a_while
def jobs_by_status() -> dict[str, int]:
    return _counted(Job.objects.all(), "status", [*JobStatus])


def queue(now: datetime) -> Queue:
    waiting = Job.objects.filter(status=JobStatus.ACCEPTED, assigned_at__isnull=True)
    found = waiting.aggregate(length=Count("pk"), oldest=Min("created_at"))
    oldest = found["oldest"]
    return Queue(found["length"], max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)


def failures(now: datetime) -> dict[str, int]:
    """Jobs that ended in error of late, by reason."""
    # Whose output is still there: that is what the index on the time has in it.
    late = Job.objects.filter(logs_expired_at__isnull=True, finished_at__gte=now - FAILURE_WINDOW)
    rows = late.filter(status=JobStatus.ERROR).order_by().values_list("reason").annotate(Count("pk"))
    return {reason or "exit_code": count for reason, count in rows}


def hosts_by_state() -> dict[str, int]:
    counts = dict.fromkeys(map(str, HostState), 0)
    for host in Host.objects.all():
        counts[host.state] += 1
    return counts


def sandboxes_by_state() -> dict[str, int]:
    """Those that have not ended."""
    live = [phase for phase in SandboxPhase if phase is not SandboxPhase.ENDED]
    return _counted(Sandbox.objects.exclude(state=SandboxPhase.ENDED), "state", live)


def sandboxes_asleep() -> int:
    return Sandbox.objects.exclude(state=SandboxPhase.ENDED).filter(asleep_since__isnull=False).count()


def execs_by_state() -> dict[str, int]:
    """Those that have not ended."""
    live = [state for state in ExecState if state is not ExecState.ENDED]
    return _counted(Exec.objects.exclude(state=ExecState.ENDED), "state", live)


def room() -> dict[str, tuple[int, int]]:
    """{what: (used, offered)} of the hosts that take work."""
    usable = Q(is_online=True, revoked_at__isnull=True)
    sums = Host.objects.filter(usable).aggregate(
        used_sandboxes=Sum("used_sandboxes", default=0), sandboxes=Sum("capacity_sandboxes", default=0),
        used_memory=Sum("used_memory_mb", default=0), memory=Sum("capacity_memory_mb", default=0),
    )  # fmt: skip
    return {
        "sandboxes": (sums["used_sandboxes"], sums["sandboxes"]),
        "memory_mb": (sums["used_memory"], sums["memory"]),
    }


@_kept_for_a_while
def storage() -> Storage:
    kept = StoredObject.objects.filter(collected_at__isnull=True)
    disk = shutil.disk_usage(settings.VAR_DIR if Path(settings.VAR_DIR).exists() else Path.cwd())
    return Storage(
        stored_bytes=kept.aggregate(sum=Sum("size_bytes", default=0))["sum"],
        upload_bytes=Upload.objects.aggregate(sum=Sum("size_bytes", default=0))["sum"],
        database_bytes=_database_bytes(),
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
    )


def orphans() -> Orphans:
    live_leases = Lease.objects.exclude(state=LeaseState.ENDED)
    live_sandboxes = Sandbox.objects.exclude(state=SandboxPhase.ENDED)
    gone = Q(host__revoked_at__isnull=False)
    holder = live_sandboxes.filter(pk=OuterRef("holder"))
    return Orphans(
        leases=live_leases.filter(gone | Q(job__status__in=list(JOB_FINAL))).count(),
        sandboxes=live_sandboxes.filter(gone).count(),
        workspaces=Workspace.objects.exclude(holder="").filter(~Exists(holder)).count(),
    )


def swept_at() -> datetime | None:
    """When beat last had a task done by a worker: the sweep, due every five seconds."""
    return FleetWatch.objects.values_list("swept_at", flat=True).first()


def now() -> datetime:
    return timezone.now()


def _counted(
    rows: QuerySet[Job] | QuerySet[Sandbox] | QuerySet[Exec], name: str, all_of: Sequence[str]
) -> dict[str, int]:
    found = dict(rows.order_by().values_list(name).annotate(Count("pk")))
    return {str(value): found.get(str(value), 0) for value in all_of}


def _database_bytes() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
        else:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return int(cursor.fetchone()[0])
