"""Jobs whose sandbox is more than one attempt's: where it goes, who enters it, and what its end means.

Exactly one job at a time is in such a sandbox or waits for it. The workspace is held for that job from its
submit on: by the sandbox itself, or by the sandbox before, whose end hands it on in one transaction.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from core.wakeup import wake_on_commit
from hosts.models import Host
from jobs.models import Job, JobEvent, Lease
from jobs.services import afterlife, room
from jobs.services.alone import alone_up
from jobs.services.damage import job_end_damaged
from jobs.services.leases import End, Outcome, lease_end
from jobs.services.places import candidates, why
from jobs.services.transition import Lost, announce, change
from jobs.services.trouble import saving_ended, saving_words
from jobs.standing import standing_job
from jobs.states import JOB_FINAL, JobStatus, LeaseState, Reason
from sandboxes.models import Sandbox
from sandboxes.services import (
    Make,
    sandbox_create,
    sandbox_end,
    sandbox_id_make,
    sandbox_lock,
    sandbox_offer,
    sandbox_started,
)
from sandboxes.states import SandboxEnd, SandboxPhase
from workspaces.models import Version
from workspaces.services import workspace_take
from workspaces.states import VersionReason

STARTING = "The sandbox of the workspace is starting. The job starts as soon as it is up."
ENDED_FIRST = "The sandbox ended before the script did."

OUTCOME_OF: dict[SandboxEnd, Outcome] = {
    SandboxEnd.DONE: Outcome.LOST,
    SandboxEnd.STOPPED: Outcome.STOPPED,
    SandboxEnd.IDLE: Outcome.LOST,
    SandboxEnd.OOM: Outcome.OOM,
    SandboxEnd.DISK_FULL: Outcome.DISK_FULL,
    SandboxEnd.LOST: Outcome.LOST,
    SandboxEnd.START_FAILED: Outcome.START_FAILED,
    SandboxEnd.RESTORE_FAILED: Outcome.START_FAILED,
    SandboxEnd.DAMAGED: Outcome.START_FAILED,
}
STOPPED_EXIT_CODE = 143  # 128 + SIGTERM, also where no process existed yet
EVENT_OF = {VersionReason.SYNC: "synced", VersionReason.CHECKPOINT: "checkpoint"}


def can_enter(sandbox: Sandbox) -> bool:
    """Whether a job may begin in it now, if no other one is in it."""
    return sandbox.is_kept and sandbox.state == SandboxPhase.RUNNING and not sandbox.is_stop_wished


def make_of(job: Job, base_manifest: str = "", image_build: str = "") -> Make:
    """The sandbox that a job needs; without a workspace it begins as that version, over that build."""
    return Make(
        owner_id=job.owner_id, image=job.image, vcpus=job.vcpus, memory_mb=job.memory_mb,
        disk_gb=job.disk_gb, is_kept=job.is_persistent, is_synced=job.is_synced, base_manifest=base_manifest,
        image_build=image_build, sleeps=not job.no_sleep, sleeps_with_runs=job.url_port is not None,
        idle_s=job.idle_s,
    )  # fmt: skip


def assign(job: Job, hosts: list[Host]) -> bool:
    """Let a waiting job into its sandbox, if that can be now."""
    try:
        with transaction.atomic():
            sandbox = _sandbox_of(job)
            if sandbox.state == SandboxPhase.WAITING:
                return _place(job, sandbox, hosts)
            entered = sandbox_lock(sandbox.pk)
            return entered is not None and can_enter(entered) and _enter(job, entered)
    except Lost:
        return False


def _sandbox_of(job: Job) -> Sandbox:
    return Sandbox.objects.select_related("workspace").get(pk=job.in_sandbox_id)


def _place(job: Job, sandbox: Sandbox, hosts: list[Host]) -> bool:
    workspace = sandbox.workspace
    host = room.place(job, candidates(workspace, hosts), first=workspace.host_id if workspace else None)
    if host is None:
        return False
    if not sandbox_offer(sandbox, host):
        raise Lost
    host.used_sandboxes += 1  # for the rest of the pass
    return _enter(job, sandbox)


def _enter(job: Job, sandbox: Sandbox) -> bool:
    changes = room.assigned(job, timezone.now()) | {"unsaved_since": sandbox.trouble_since}
    if sandbox.host is None or not change(job, event=None, guard=Q(assigned_at__isnull=True), **changes):
        raise Lost
    room.offer(job, sandbox.host, sandbox).save()
    return True


def waits(job: Job, hosts: list[Host]) -> dict[str, Any]:
    """Why such a job goes on waiting."""
    sandbox = _sandbox_of(job)
    if sandbox.state != SandboxPhase.WAITING:
        return waits_for(sandbox)
    return why(job, sandbox.workspace, hosts)


def waits_for(sandbox: Sandbox) -> dict[str, Any]:
    """Why a job waits that cannot enter it yet, or comes after it."""
    if sandbox.state == SandboxPhase.OFFERED:
        return {"reason": Reason.STARTING, "message": STARTING}
    return {"reason": Reason.SAVING, "message": saving_words(sandbox)}


def sandbox_up(sandbox: Sandbox, stages: dict[str, int]) -> None:
    """Its host says that it runs."""
    if not sandbox_started(sandbox):
        return
    alone_up(sandbox, stages)
    head = sandbox.workspace.head if sandbox.workspace else None
    job = Job.objects.filter(in_sandbox=sandbox).exclude(status__in=JOB_FINAL).first()
    if job is not None and (head is not None or sandbox.base_manifest):
        detail = {"version": head.number if head else None, "base": job.base_name or None} | stages
        JobEvent.objects.create(job_id=job.pk, kind="restored", detail=detail)
        wake_on_commit(f"job.{job.pk}")


def sandbox_over(
    sandbox: Sandbox,
    reason: SandboxEnd,
    message: str = "",
    *,
    with_host: bool = False,
    revision: int | None = None,
) -> None:
    """A sandbox has ended, or is given up. Call it with the host's row held: what is still live in it ends
    with it, and a job that waits gets a new sandbox, which takes the workspace at its newest version. So does
    a workspace that is always on, or that somebody wants to reach. `with_host`: because its host is gone."""
    standing = standing_job(sandbox.workspace_id, lock=True)  # jobs' rows before the workspace's
    live = Lease.objects.filter(in_sandbox=sandbox).exclude(state=LeaseState.ENDED).select_related("job")
    for lease in live:
        lease_end(lease, _end_of(reason, message))
        if revision is not None:
            Lease.objects.filter(pk=lease.pk).update(revision=revision)
    sandbox_end(sandbox, reason, message, revision=revision)
    saving_ended(sandbox)
    waiting = Job.objects.filter(in_sandbox=sandbox, status=JobStatus.ACCEPTED, assigned_at__isnull=True)
    jobs = list(waiting.select_related("owner", "workspace"))
    afterlife.begin(sandbox, standing, has_next=bool(jobs), with_host=with_host)
    for job in jobs:
        if reason is SandboxEnd.DAMAGED:  # so it is for the next one
            job_end_damaged(job, message)
        else:
            _succeed(job, sandbox)


def _end_of(reason: SandboxEnd, message: str) -> End:
    outcome = OUTCOME_OF[reason]
    code = STOPPED_EXIT_CODE if outcome is Outcome.STOPPED else None
    if reason is SandboxEnd.DAMAGED:  # and so it is at the next attempt
        return End(outcome, code, message, is_final=True, told=Reason.WORKSPACE_DAMAGED)
    return End(outcome, code, message or ENDED_FIRST)


def _succeed(job: Job, former: Sandbox) -> None:
    """Hold the workspace on for a job that waited for the former sandbox's end, or has another attempt."""
    sandbox_id = sandbox_id_make()
    workspace = None
    if job.workspace_name:
        workspace = workspace_take(
            job.owner, job.workspace_name, sandbox_id, is_saved=job.is_persistent and job.is_synced,
            disk_gb=job.disk_gb, image=job.image,
        )  # fmt: skip
    make = make_of(job, former.base_manifest, former.image_build)
    sandbox = sandbox_create(sandbox_id, make, workspace, None)
    if not change(job, event=None, guard=Q(assigned_at__isnull=True), in_sandbox=sandbox):
        raise Lost


def job_saved(sandbox: Sandbox, version: Version) -> None:
    """A version of a sandbox's workspace is durable: its jobs know since when, and the newest one why."""
    with transaction.atomic():
        sandbox_lock(sandbox.pk)  # also keeps two answers to one host apart
        jobs = Job.objects.filter(in_sandbox=sandbox)
        newest = jobs.only("pk", "owner_id", "durable_at").order_by("-created_at").first()
        if newest is None or newest.durable_at == version.durable_at:
            return  # the same answer again
        is_open = (
            Q(finished_at__isnull=True) | Q(durable_at__isnull=True) | Q(durable_at__lt=F("finished_at"))
        )
        jobs.filter(is_open | Q(pk=newest.pk)).update(
            durable_at=version.durable_at, revision=F("revision") + 1, changed_at=timezone.now()
        )
        detail = {"version": version.number, "bytes": version.stored_bytes}
        kind = EVENT_OF.get(VersionReason(version.reason), "saved")
        JobEvent.objects.create(job_id=newest.pk, kind=kind, detail=detail)
        announce(newest)
