"""A sandbox whose files cannot be saved: since when, and who is told.

Its host tries for ever and keeps the files. Nobody may use the workspace meanwhile: what was not saved yet
would be lost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from jobs.models import Job, JobEvent
from jobs.services.transition import announce, change
from jobs.states import JobStatus
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_troubled
from sandboxes.states import SaveFailure
from workspaces.models import Workspace

SAVING = "The workspace is being saved by the sandbox before. The job starts right after that."
UNSAVED = (
    "The sandbox before could not save the workspace since {at:%Y-%m-%d %H:%M} UTC: {why} That is tried until"
    " it works; the job starts right after that."
)
HELD = (
    "Its last changes are on one host only, which could not save them since {at:%Y-%m-%d %H:%M} UTC: {why}"
    " That is tried until it works. A delete would lose them; only an administrator can, with the host."
)
WHY: dict[str, str] = {
    SaveFailure.UNREACHABLE: "the object store does not answer.",
    SaveFailure.REFUSED: "the object store refuses it; an administrator must see why.",
    SaveFailure.FAILED: "the host fails to read or send it; its log says why.",
}


def saving_words(sandbox: Sandbox) -> str:
    """What a job waits for that comes after this sandbox."""
    if sandbox.trouble_since is None:
        return SAVING
    return UNSAVED.format(at=sandbox.trouble_since, why=WHY[sandbox.trouble])


def held_words(workspace: Workspace) -> str:
    """Why the workspace is not free, where its files cannot be saved: they would be lost with it."""
    sandbox = Sandbox.objects.filter(pk=workspace.holder, trouble_since__isnull=False).first()
    if sandbox is None or sandbox.trouble_since is None:
        return ""
    return HELD.format(at=sandbox.trouble_since, why=WHY[sandbox.trouble])


def saving_troubled(sandbox: Sandbox, kind: SaveFailure, since: datetime) -> None:
    """Its host says that saving fails since then. A host's clock is not trusted beyond ours."""
    since = max(min(since, timezone.now()), sandbox.created_at)
    if sandbox.trouble == kind or not sandbox_troubled(sandbox, kind, since):
        return
    _tell(sandbox, since, "save_failing", {"kind": kind})
    for job in _waiting(sandbox):
        change(job, event=None, guard=Q(assigned_at__isnull=True), message=saving_words(sandbox))


def saving_settled(sandbox: Sandbox) -> None:
    """Saving works again."""
    if sandbox.trouble and sandbox_troubled(sandbox, None, None):
        _tell(sandbox, None, "save_works", {})


def saving_ended(sandbox: Sandbox) -> None:
    """Nothing is left to save, or nobody who could."""
    unsaved = Job.objects.filter(in_sandbox=sandbox, unsaved_since__isnull=False)
    unsaved.update(unsaved_since=None, revision=F("revision") + 1, changed_at=timezone.now())


def _tell(sandbox: Sandbox, since: datetime | None, event: str, detail: dict[str, Any]) -> None:
    """The newest of the jobs that were in it stands for it."""
    entered = Job.objects.filter(in_sandbox=sandbox, assigned_at__isnull=False)
    job = entered.only("pk", "owner_id").order_by("-created_at").first()
    if job is None:
        return
    now = timezone.now()
    told = entered.filter(Q(pk=job.pk) | Q(unsaved_since__isnull=False))
    told.update(unsaved_since=since, revision=F("revision") + 1, changed_at=now)
    JobEvent.objects.create(job_id=job.pk, at=now, kind=event, detail=detail)
    announce(job)


def _waiting(sandbox: Sandbox) -> list[Job]:
    waiting = Job.objects.filter(in_sandbox=sandbox, status=JobStatus.ACCEPTED, assigned_at__isnull=True)
    return list(waiting)
