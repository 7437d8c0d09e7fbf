"""Which sandbox serves what is published of a job or a workspace, and whether it can now."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from django.db.models import Q

from jobs.models import Job
from jobs.states import JobStatus
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase


class Standing(StrEnum):
    """Of a sandbox that somebody wants to reach, in the gateway's words."""

    RUNNING = "running"  # takes connections; one that is frozen thaws by that
    STARTING = "starting"  # will, by itself
    STOPPED = "stopped"  # will not before somebody has it get up, or runs a job


def sandbox_serving(workspace_id: UUID | None, sandbox_id: str | None) -> Sandbox | None:
    """The live sandbox of the workspace, whichever job it was made for; without one, the sandbox itself."""
    live = Sandbox.objects.exclude(state=SandboxPhase.ENDED).select_related("host")
    same = Q(workspace_id=workspace_id) if workspace_id else Q(pk=sandbox_id)
    return live.filter(same).first()


def standing_job(workspace_id: UUID | None, *, lock: bool = False) -> Job | None:
    """The workspace's newest persistent job: what it says holds for sandboxes made without a script. `lock`
    holds its row until the transaction ends."""
    if workspace_id is None:
        return None
    jobs = Job.objects.select_for_update(of=("self",)) if lock else Job.objects.all()
    persistent = jobs.filter(workspace_id=workspace_id, is_persistent=True)
    return persistent.select_related("owner", "workspace__head").order_by("-created_at").first()


def standing_of(sandbox: Sandbox | None) -> Standing:
    if sandbox is None:
        return Standing.STOPPED
    if sandbox.state == SandboxPhase.RUNNING:
        return Standing.RUNNING
    if sandbox.state != SandboxPhase.ENDING or sandbox.next_for:
        return Standing.STARTING
    return Standing.STARTING if job_waiting(sandbox) else Standing.STOPPED


def job_waiting(sandbox: Sandbox) -> bool:
    """Whether a job waits for the sandbox, or for its end."""
    waiting = Job.objects.filter(in_sandbox=sandbox, status=JobStatus.ACCEPTED, assigned_at__isnull=True)
    return waiting.exists()


def groups_of(sandbox: Sandbox | None) -> tuple[str, ...]:
    """Who is woken when the sandbox comes up or ends."""
    if sandbox is None:
        return ()
    newest = Job.objects.filter(in_sandbox=sandbox).order_by("-created_at").values_list("pk", flat=True)
    standing = standing_job(sandbox.workspace_id)
    ids = [*newest[:1], *([standing.pk] if standing else [])]
    return tuple(f"job.{job_id}" for job_id in dict.fromkeys(ids))
