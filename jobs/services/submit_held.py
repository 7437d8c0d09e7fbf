"""Submits that name a workspace, a base, or ask for a sandbox that stays."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiToken, User
from hosts.models import Host
from images.selectors import head_name
from jobs.errors import BaseNotSaved, WrongImage
from jobs.models import Job, JobEvent
from jobs.services import held, room, schedule
from jobs.services.damage import damage_remedy
from jobs.services.places import candidates, why
from jobs.services.spec import JobSpec, job_make
from jobs.services.transition import announce, change
from jobs.standing import standing_job
from jobs.states import JOB_FINAL, SandboxState
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_change, sandbox_create, sandbox_id_make, sandbox_lock
from sandboxes.states import SandboxPhase
from workspaces.errors import VersionDamaged, WorkspaceInUse, WorkspaceNotFound
from workspaces.models import Workspace
from workspaces.selectors import workspace_find
from workspaces.services import version_share, workspace_resize, workspace_take


def job_submit_held(owner: User, token: ApiToken | None, spec: JobSpec) -> Job:
    """Create a job, and hold its workspace for it: in a new sandbox, in one that is kept and idle, or after
    the end of one that is just being saved.

    Raises WorkspaceInUse, WorkspaceNotFound, BaseNotSaved, VersionDamaged, WrongImage, NeverFits.
    """
    hosts = room.hosts_known()
    now = timezone.now()
    with transaction.atomic(savepoint=False):
        workspace = workspace_find(owner, spec.workspace) if spec.workspace else None
        base = _base(owner, spec.base) if spec.base else None
        job = job_make(
            owner, token, spec, hosts, created_at=now, changed_at=now, workspace_name=spec.workspace,
            base_name=spec.base, is_persistent=spec.is_persistent, is_synced=spec.is_synced,
        )  # fmt: skip
        if spec.is_persistent:
            _stand(job, spec, standing_job(workspace.pk) if workspace else None)
        if workspace is not None:
            _fit(job, workspace, spec)
        if base is not None and (workspace is None or _is_new(workspace)):
            _require_image(base, spec)
            job.image = base.image
        detail = {"base_ignored": True} if base and workspace and not _is_new(workspace) else {}
        former = sandbox_lock(workspace.holder) if workspace and workspace.holder else None
        assigned = _after(job, former, hosts) if former else _hold(job, workspace, base, hosts)
        submitted = JobEvent(job_id=job.pk, at=now, kind="submitted", detail=detail)
        JobEvent.objects.bulk_create([submitted, *assigned])
        announce(job)
    return job


def _stand(job: Job, spec: JobSpec, former: Job | None) -> None:
    """What sandboxes of its workspace are to be like from now on. What it leaves out stays as it was: a
    server that is always on goes on being it when somebody runs a script beside it."""
    job.no_sleep, job.idle_s = bool(spec.no_sleep), spec.idle_s
    job.startup_command, job.startup_environment = spec.startup_command or "", job.environment
    if former is None:
        return
    if spec.no_sleep is None:
        job.no_sleep = former.no_sleep
    if spec.idle_s is None:
        job.idle_s = former.idle_s
    if spec.startup_command is None and former.startup_command:
        job.startup_command, job.startup_environment = former.startup_command, former.startup_environment


def _supersede(job: Job, workspace: Workspace | None) -> None:
    """What has ended does not sleep any more where a newer job says what comes next. Call it before the
    workspace's row is written and after the host's, as for every row of a job."""
    if workspace is None or not job.is_persistent:
        return
    asleep = Job.objects.filter(workspace=workspace, sandbox=SandboxState.SLEEPING, status__in=JOB_FINAL)
    ended = Q(in_sandbox__state=SandboxPhase.ENDED)
    for former in asleep.filter(ended).only("pk", "owner_id", "status", "attempt", "revision"):
        change(
            former, event=None, guard=ended & Q(sandbox=SandboxState.SLEEPING), sandbox=SandboxState.NONE,
            sandbox_message="", recover_at=None, down_since=None,
        )  # fmt: skip


def _base(owner: User, name: str) -> Workspace:
    base = workspace_find(owner, name)
    if base is None:
        raise WorkspaceNotFound(fields={"base_workspace_id": "names a workspace that does not exist"})
    if base.head is None:
        raise BaseNotSaved(f"The workspace {name} has no version to build on.")
    _require_sound(base)
    return base


def _require_sound(workspace: Workspace) -> None:
    if workspace.damaged_at is None:
        return
    words = damage_remedy(workspace)
    raise VersionDamaged(f"Stored data of the workspace {workspace.name} is damaged.", remediation=words)


def _fit(job: Job, workspace: Workspace, spec: JobSpec) -> None:
    """A workspace that exists says what the job's disk and image are; a job may make it larger."""
    _require_sound(workspace)
    _require_image(workspace, spec)
    job.image, job.workspace = workspace.image, workspace
    job.disk_gb = max(spec.disk_gb or 0, workspace.disk_gb)


def _require_image(workspace: Workspace, spec: JobSpec) -> None:
    if spec.image is not None and spec.image != workspace.image:
        raise WrongImage(f"The workspace {workspace.name} was made with the image {workspace.image}.")


def _is_new(workspace: Workspace) -> bool:
    """Nothing was ever in it."""
    return workspace.head_id is None and workspace.host_id is None


def _after(job: Job, former: Sandbox, hosts: list[Host]) -> list[JobEvent]:
    """Enter a sandbox that lives or is about to, or wait for its end."""
    user = Job.objects.filter(in_sandbox=former).exclude(status__in=JOB_FINAL).only("pk", "name").first()
    if user is not None:
        words = f"The workspace {job.workspace_name} is already in use by the job {user.name or user.pk}."
        raise WorkspaceInUse(words)
    _supersede(job, former.workspace)
    job.in_sandbox = former
    is_waiting = former.state == SandboxPhase.WAITING
    if not (is_waiting or held.can_enter(former)):
        _set(job, held.waits_for(former))
        job.save(force_insert=True)
        return []
    if wishes := _wishes(job, former):
        sandbox_change(former, **wishes)
    job.vcpus, job.memory_mb = former.vcpus, former.memory_mb
    if former.host is None:
        _set(job, why(job, former.workspace, hosts))
        job.save(force_insert=True)
        transaction.on_commit(schedule.schedule_waiting)
        return []
    job.unsaved_since = former.trouble_since
    _set(job, room.assigned(job, timezone.now()))
    job.save(force_insert=True)
    return [room.offer(job, former.host, former)]


def _wishes(job: Job, sandbox: Sandbox) -> dict[str, Any]:
    """What the job wants otherwise than the sandbox that it enters."""
    workspace = sandbox.workspace
    wishes: dict[str, Any] = {}
    if workspace is None:  # nobody else can enter it
        return wishes
    if job.disk_gb > workspace.disk_gb:
        workspace_resize(workspace, job.disk_gb)
    if job.is_persistent and job.is_synced and not (sandbox.is_synced and workspace.is_saved):
        Workspace.objects.filter(pk=workspace.pk).update(is_saved=True)
        wishes["is_synced"] = True
    if job.is_persistent:  # and so the standing job from now on
        wishes |= {"sleeps": not job.no_sleep, "idle_s": job.idle_s}
    wishes["sleeps_with_runs"] = job.url_port is not None
    return {name: value for name, value in wishes.items() if getattr(sandbox, name) != value}


def _hold(job: Job, workspace: Workspace | None, base: Workspace | None, hosts: list[Host]) -> list[JobEvent]:
    """A new sandbox that takes the workspace, on a host if one has room."""
    where = candidates(workspace, hosts)
    wanted = workspace.host_id if workspace else None
    # Whoever waits for room was first.
    host = None if schedule.is_waited() else room.place(job, where, first=wanted)
    sandbox_id = sandbox_id_make()
    build = _build(job, workspace, base)
    _supersede(job, workspace)
    if job.workspace_name:
        workspace = _take(job, workspace, base, sandbox_id)
    begins_as = base.head.manifest if base and base.head and not workspace else ""
    sandbox = sandbox_create(sandbox_id, held.make_of(job, begins_as, build), workspace, host)
    job.in_sandbox = sandbox
    _set(job, room.assigned(job, job.created_at) if host else why(job, workspace, hosts))
    job.save(force_insert=True)
    if host is None:
        transaction.on_commit(schedule.schedule_waiting)
        return []
    return [room.offer(job, host, sandbox)]


def _build(job: Job, workspace: Workspace | None, base: Workspace | None) -> str:
    """What a sandbox stands on whose workspace does not say: files that are new begin on what every host can
    have, so that they can be restored on any; others are on one host, which knows."""
    if base is not None:
        return base.image_build
    is_new = bool(job.workspace_name) and (workspace is None or _is_new(workspace))
    return head_name(job.image) if is_new else ""


def _take(job: Job, known: Workspace | None, base: Workspace | None, sandbox_id: str) -> Workspace:
    if known is not None and base is not None and base.head and _is_new(known):
        version_share(base.head, known)
    workspace = workspace_take(
        job.owner, job.workspace_name, sandbox_id, is_saved=job.is_persistent and job.is_synced,
        disk_gb=job.disk_gb, image=job.image, fork_of=base,
    )  # fmt: skip
    if workspace.host_id != (known.host_id if known else None):  # used and freed since it was read
        raise WorkspaceInUse(f"The workspace {workspace.name} is already in use.")
    if job.disk_gb > workspace.disk_gb:
        workspace_resize(workspace, job.disk_gb)
    job.workspace, job.disk_gb, job.image = workspace, workspace.disk_gb, workspace.image
    return workspace


def _set(job: Job, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(job, name, value)
