"""Sandboxes that were made without a script: they wait for a host beside the jobs, and come up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from core.prepared import Prepared
from core.wakeup import wake_on_commit
from hosts.models import Host
from jobs.models import Job, JobEvent
from jobs.services import room
from jobs.services.places import candidates, why
from jobs.services.transition import Lost, announce
from jobs.states import JOB_FINAL, JobStatus, SandboxState
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_explain, sandbox_offer
from sandboxes.states import SandboxPhase

MILLISECOND = timedelta(milliseconds=1)
_WAITING = Prepared(lambda: Sandbox.objects.filter(state=SandboxPhase.WAITING).only("pk")[:1])


def is_anybody_alone() -> bool:
    """No, or perhaps."""
    return _WAITING.first() is not None


def alone_waiting() -> QuerySet[Sandbox]:
    """Those without a host that no job waits for; a job's is placed with the job."""
    jobs = Job.objects.filter(in_sandbox=OuterRef("pk"), status=JobStatus.ACCEPTED, assigned_at__isnull=True)
    return Sandbox.objects.filter(~Exists(jobs), state=SandboxPhase.WAITING)


def alone_assign(sandbox: Sandbox, hosts: list[Host]) -> bool:
    """Give it to a host, if one has room: the one with its files before others."""
    workspace = sandbox.workspace
    try:
        with transaction.atomic():
            first = workspace.host_id if workspace else None
            host = room.place(sandbox, candidates(workspace, hosts), first=first)
            if host is None:
                return False
            if not sandbox_offer(sandbox, host):
                raise Lost
            _say(sandbox, "")
            wake_on_commit(f"host.{host.pk}")
    except Lost:
        return False
    host.used_sandboxes += 1  # for the rest of the pass
    return True


def alone_explain(sandbox: Sandbox, hosts: list[Host]) -> None:
    """Tell its jobs why it goes on waiting, where that is another reason now."""
    told = why(sandbox, sandbox.workspace, hosts)
    message = told["message"].replace("The job", "The sandbox")  # one list of reasons for both
    if sandbox.message == message:
        return
    with transaction.atomic():
        if sandbox_explain(sandbox, told["reason"], message):
            _say(sandbox, message, reason=told["reason"])


def _say(sandbox: Sandbox, message: str, **detail: str) -> None:
    for job in _shown(sandbox).exclude(sandbox_message=message):
        Job.objects.filter(pk=job.pk).update(sandbox_message=message, **_bumped())
        if message:
            detail["message"] = message
            JobEvent.objects.create(job_id=job.pk, kind="sandbox_waits", detail=detail)
        announce(job)


def alone_up(sandbox: Sandbox, stages: dict[str, int]) -> None:
    """Its host says that it runs: jobs that have ended have it, and can be reached."""
    for job in _shown(sandbox):
        down_since = job.down_since
        fresh = {"sandbox": SandboxState.RUNNING, "sandbox_message": "", "down_since": None}
        Job.objects.filter(pk=job.pk).update(**fresh, recover_at=None, **_bumped())
        host = sandbox.host.name if sandbox.host else None
        detail: dict[str, Any] = {"cause": sandbox.made_for, "host": host, "stages": stages}
        JobEvent.objects.create(job_id=job.pk, kind="up", detail=detail)
        if down_since is not None:
            ms = max(0, round((timezone.now() - down_since) / MILLISECOND))
            recovered = {"reason": _why_down(job), "host": host, "ms": ms}
            JobEvent.objects.create(job_id=job.pk, kind="recovered", detail=recovered)
        announce(job)


def _why_down(job: Job) -> str:
    said = JobEvent.objects.filter(job_id=job.pk, kind="recovering").order_by("-pk").first()
    return str(said.detail["reason"]) if said else ""


def _shown(sandbox: Sandbox) -> QuerySet[Job]:
    return Job.objects.filter(in_sandbox=sandbox, status__in=JOB_FINAL).order_by("pk")


def _bumped() -> dict[str, Any]:
    return {"revision": F("revision") + 1, "changed_at": timezone.now()}
