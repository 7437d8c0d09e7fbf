"""Sandboxes that are made without a script, from the newest version: to wake what has ended, and to bring
back what was lost. They wait for a host beside the jobs (`jobs.services.schedule`)."""

from __future__ import annotations

from django.db.models import F
from django.utils import timezone

from jobs.errors import CannotWake
from jobs.models import Job, JobEvent
from jobs.services.damage import damage_remedy
from jobs.services.transition import announce
from jobs.states import JOB_FINAL, WakeCause
from sandboxes.models import Sandbox
from sandboxes.services import Make, sandbox_create, sandbox_id_make
from workspaces.models import Workspace
from workspaces.services import workspace_take

WITH_ITS_SCRIPT = "The sandbox of this job lives with its script only."
NO_WORKSPACE = "The sandbox has ended, and it had no workspace that it could come back from."
DELETED = "The workspace of this job was deleted."
NEVER_SAVED = "The sandbox has ended, and nothing of its workspace was ever saved."
DAMAGED = "Stored data of the workspace {name} is damaged."


def require_raisable(job: Job) -> Workspace:
    """The workspace that a sandbox can be made from for the standing job. Raises CannotWake."""
    if not job.is_persistent:
        raise CannotWake(WITH_ITS_SCRIPT)
    workspace = job.workspace
    if workspace is None or workspace.deleted_at is not None:
        raise CannotWake(DELETED if job.workspace_name else NO_WORKSPACE)
    if workspace.head_id is None:
        raise CannotWake(NEVER_SAVED)
    if workspace.damaged_at is not None:
        words = damage_remedy(workspace)
        raise CannotWake(DAMAGED.format(name=workspace.name), remediation=words)
    return workspace


def is_raisable(job: Job) -> bool:
    try:
        require_raisable(job)
    except CannotWake:
        return False
    return True


def sandbox_raise(job: Job, cause: WakeCause) -> Sandbox:
    """A new sandbox for the standing job. Call it in a transaction, without a live one on the workspace.
    Raises CannotWake; WorkspaceInUse where somebody was first."""
    known = require_raisable(job)
    sandbox_id = sandbox_id_make()
    workspace = workspace_take(
        job.owner, known.name, sandbox_id, is_saved=job.is_synced, disk_gb=known.disk_gb, image=known.image
    )
    if workspace.pk != known.pk:  # deleted and made anew since it was read
        raise CannotWake(DELETED)
    make = Make(
        owner_id=job.owner_id, image=workspace.image, vcpus=job.vcpus, memory_mb=job.memory_mb,
        disk_gb=workspace.disk_gb, is_kept=True, is_synced=job.is_synced, sleeps=not job.no_sleep,
        sleeps_with_runs=job.url_port is not None, idle_s=job.idle_s, made_for=cause,
        startup_command=job.startup_command, startup_environment=job.startup_environment,
    )  # fmt: skip
    sandbox = sandbox_create(sandbox_id, make, workspace, None)
    job_join(job, sandbox)
    return sandbox


def job_join(job: Job, sandbox: Sandbox) -> None:
    """From now on the ended job is told of this sandbox, and shows it."""
    if job.in_sandbox_id == sandbox.pk:
        return
    ended = Job.objects.filter(pk=job.pk, status__in=JOB_FINAL)
    if ended.update(
        in_sandbox=sandbox, recover_at=None, revision=F("revision") + 1, changed_at=timezone.now()
    ):
        job.in_sandbox = sandbox
        announce(job)


def waking_noted(job: Job, cause: str) -> None:
    JobEvent.objects.create(job_id=job.pk, kind="waking", detail={"cause": cause})
    announce(job)
