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
    """Of a published sandbox, in the gateway's words."""

    RUNNING = "running"  # takes connections
    STARTING = "starting"  # will, by itself
    STOPPED = "stopped"  # will not before somebody runs a job


def sandbox_serving(workspace_id: UUID | None, sandbox_id: str | None) -> Sandbox | None:
    """The live sandbox of the workspace, whichever job it was made for; without one, the sandbox itself."""
    live = Sandbox.objects.exclude(state=SandboxPhase.ENDED).select_related("host")
    same = Q(workspace_id=workspace_id) if workspace_id else Q(pk=sandbox_id)
    return live.filter(same).first()


def standing_of(sandbox: Sandbox | None) -> Standing:
    if sandbox is None:
        return Standing.STOPPED
    if sandbox.state == SandboxPhase.RUNNING:
        return Standing.RUNNING
    if sandbox.state != SandboxPhase.ENDING:
        return Standing.STARTING
    waiting = Job.objects.filter(in_sandbox=sandbox, status=JobStatus.ACCEPTED, assigned_at__isnull=True)
    return Standing.STARTING if waiting.exists() else Standing.STOPPED


def groups_of(sandbox: Sandbox | None) -> tuple[str, ...]:
    """Who is woken when the sandbox comes up or ends."""
    newest = Job.objects.filter(in_sandbox=sandbox).order_by("-created_at").values_list("pk", flat=True)
    return tuple(f"job.{job_id}" for job_id in newest[:1]) if sandbox else ()
