"""What damaged data means for jobs, and what to do about it."""

from __future__ import annotations

from django.db.models import Q
from django.utils import timezone

from jobs.models import Job
from jobs.services.transition import Lost, transition
from jobs.states import JobStatus, Reason
from workspaces.models import Workspace
from workspaces.selectors import last_good


def damage_remedy(workspace: Workspace) -> str:
    good = last_good(workspace)
    if good is None:
        return "No version of it is whole: delete it, or ask the administrator for a copy of the bucket."
    return f"Restore version {good.number}, or delete the workspace."


def job_end_damaged(job: Job, message: str) -> None:
    """End a job that waits for a workspace whose data is not whole."""
    text = f"{message} {damage_remedy(job.workspace)}" if job.workspace else message
    is_moved = transition(
        job, JobStatus.ERROR, event="finished", guard=Q(assigned_at__isnull=True),
        detail={"attempt": job.attempt, "reason": Reason.WORKSPACE_DAMAGED, "message": text[:500]},
        reason=Reason.WORKSPACE_DAMAGED, message=text[:500], finished_at=timezone.now(),
    )  # fmt: skip
    if not is_moved:
        raise Lost
