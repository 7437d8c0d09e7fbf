"""A draining host gets empty: kept sandboxes that nobody uses are saved and end, so that their workspaces
can go on elsewhere. What runs is left alone, and so are files that would be on that host only."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from core.wakeup import wake_on_commit
from jobs.models import Job
from jobs.states import JOB_FINAL
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_lock, sandbox_wish_end
from sandboxes.states import SandboxPhase


def hosts_empty() -> int:
    """Wish the end of idle sandboxes on draining hosts. Returns how many."""
    return sum(_end(sandbox_id) for sandbox_id in _idle().values_list("pk", flat=True))


def _idle() -> QuerySet[Sandbox]:
    used = Job.objects.filter(in_sandbox=OuterRef("pk")).exclude(status__in=JOB_FINAL)
    drains = Q(host__is_draining=True) | Q(host__is_agent_draining=True)
    kept = Sandbox.objects.filter(
        drains, ~Exists(used), state=SandboxPhase.RUNNING, is_kept=True, is_synced=True,
        is_stop_wished=False, workspace__isnull=False, host__is_online=True,
    )  # fmt: skip
    return kept.order_by("pk")


def _end(sandbox_id: str) -> bool:
    with transaction.atomic():
        sandbox = sandbox_lock(sandbox_id)
        # Asked again with the rows held: a job may have entered it.
        if sandbox is None or not _idle().filter(pk=sandbox_id).exists() or not sandbox_wish_end(sandbox):
            return False
        wake_on_commit(f"host.{sandbox.host_id}")
    return True
