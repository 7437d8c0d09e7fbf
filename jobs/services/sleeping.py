"""What a host says of a sandbox that it froze or thawed, and of its startup command."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from jobs.models import Job, JobEvent
from jobs.services.transition import announce, transition
from jobs.standing import standing_job
from jobs.states import JobStatus, SandboxState
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_asleep, sandbox_awake


def sandbox_slept(sandbox: Sandbox, at: datetime, evidence: dict[str, int]) -> None:
    """It is frozen. Repeated words, and those about one that ends, change nothing."""
    since = max(min(at, timezone.now()), sandbox.created_at)  # a host's clock is not trusted beyond ours
    if sandbox_asleep(sandbox, since):
        _tell(sandbox, JobStatus.RUNNING, JobStatus.SLEEPING, "slept", {"evidence": evidence})


def sandbox_woke(sandbox: Sandbox, cause: str, ms: int) -> None:
    """It is thawed."""
    if sandbox_awake(sandbox):
        _tell(sandbox, JobStatus.SLEEPING, JobStatus.RUNNING, "woke", {"cause": cause, "ms": ms})


def speaker_of(sandbox: Sandbox) -> Job | None:
    """The job in whose timeline the sandbox's events stand: the newest that was let in, or the standing one
    of a sandbox that was made without a script."""
    entered = Job.objects.filter(in_sandbox=sandbox, assigned_at__isnull=False)
    return entered.order_by("-created_at").first() or standing_job(sandbox.workspace_id)


def startup_noted(sandbox: Sandbox, detail: dict[str, Any], *, is_over: bool) -> Job | None:
    """The startup command began, or ended. Repeated words are not noted again; the job is answered always."""
    job = speaker_of(sandbox)
    if job is None:
        return None
    kind = "startup_exited" if is_over else "startup_started"
    same = JobEvent.objects.filter(job_id=job.pk, kind=kind, detail__exec_id=detail["exec_id"])
    if not same.exists():
        JobEvent.objects.create(job_id=job.pk, kind=kind, detail=detail)
        announce(job)
    return job


def _tell(sandbox: Sandbox, was: JobStatus, to: JobStatus, event: str, detail: dict[str, Any]) -> None:
    state = SandboxState.SLEEPING if to is JobStatus.SLEEPING else SandboxState.RUNNING
    speaker = speaker_of(sandbox)
    shown = Job.objects.filter(in_sandbox=sandbox).exclude(sandbox__in=[state, SandboxState.NONE])
    for job in shown.only("pk", "owner_id", "status", "attempt", "revision").order_by("pk"):
        if job.status == was:
            transition(job, to, event=None, sandbox=state)
        else:
            bumped = {"revision": F("revision") + 1, "changed_at": timezone.now()}
            Job.objects.filter(pk=job.pk).update(sandbox=state, **bumped)
            announce(job)
    if speaker is not None:
        JobEvent.objects.create(job_id=speaker.pk, kind=event, detail=detail)
        announce(speaker)
