"""What the end of a kept sandbox leaves behind: nothing, files that another one can begin from when somebody
wants it, or at once the next one, where it is always on."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from jobs.errors import CannotWake
from jobs.models import Job, JobEvent
from jobs.services.raising import is_raisable, require_raisable, sandbox_raise
from jobs.services.transition import announce
from jobs.standing import standing_job
from jobs.states import JOB_FINAL, SandboxState, WakeCause
from sandboxes.models import Sandbox
from sandboxes.states import SandboxEnd
from workspaces.errors import WorkspaceInUse
from workspaces.models import Workspace

logger = logging.getLogger(__name__)

# One that dies by itself is made again at once, then after 1, 2, 4, ... s up to BACKOFF_LIMIT_S; up for that
# long, it begins anew. The sweep looks every 5 s (`fleet.SWEEP_S`), so that is what the first of these take.
BACKOFF_LIMIT_S = 300
NOT_TO_BE_SAVED = "The sandbox has ended, and its files were not to be saved."
WISHED_ENDS = frozenset({SandboxEnd.IDLE, SandboxEnd.STOPPED})  # nothing went wrong


def begin(sandbox: Sandbox, standing: Job | None, *, has_next: bool, with_host: bool) -> None:
    """Call it with the sandbox's end written and its workspace free. `standing` is the workspace's standing
    job, its row held; `has_next`: a job waits, and gets the next sandbox; `with_host`: its host is gone, and
    it is not to blame."""
    reason = SandboxEnd(sandbox.reason)
    lives_on = standing is not None and _may_come_back(sandbox, standing)
    _forget(sandbox, standing if lives_on else None)
    if standing is None or has_next:
        return
    if not lives_on:
        _regret(standing, sandbox)
        return
    if sandbox.is_kept:
        _count(standing, sandbox, reason, with_host=with_host)
    wanted = _wanted_by(sandbox, reason)
    if wanted is not None:
        sandbox_raise(standing, wanted)
    elif standing.no_sleep:
        _recover(standing, sandbox)


def _may_come_back(sandbox: Sandbox, standing: Job) -> bool:
    standing.refresh_from_db(fields=["status", "sandbox"])  # a lease of its own may have ended just now
    if standing.status not in JOB_FINAL:
        return False
    if not sandbox.is_kept:  # it had the workspace between two of the standing job's
        is_wanted = standing.sandbox == SandboxState.SLEEPING or bool(sandbox.next_for)
        return is_wanted and is_raisable(standing)
    is_wanted = not sandbox.is_put_away or bool(sandbox.next_for)
    return is_wanted and sandbox.is_synced and is_raisable(standing)


def _regret(standing: Job, sandbox: Sandbox) -> None:
    """Say why one that is always on does not come back, where that is nobody's wish."""
    if not (standing.no_sleep and sandbox.is_kept) or sandbox.is_put_away or standing.status not in JOB_FINAL:
        return
    message = NOT_TO_BE_SAVED
    if sandbox.is_synced:
        try:
            require_raisable(standing)
        except CannotWake as error:
            message = error.message
    _given_up(standing, message)


def _given_up(job: Job, message: str) -> None:
    gone = {"sandbox": SandboxState.NONE, "sandbox_message": message[:500], "recover_at": None}
    bumped = {"revision": F("revision") + 1, "changed_at": timezone.now()}
    Job.objects.filter(pk=job.pk).update(**gone, **bumped)
    JobEvent.objects.create(job_id=job.pk, kind="recovery_failed", detail={"message": message})
    announce(job)


def _wanted_by(sandbox: Sandbox, reason: SandboxEnd) -> WakeCause | None:
    """Who waited for its end, or wished it awake while it went to its end."""
    if sandbox.next_for:
        return WakeCause(sandbox.next_for)
    is_unanswered = sandbox.asleep_since is not None and sandbox.wake_wished > sandbox.wake_done
    return WakeCause.WISH if is_unanswered and reason is SandboxEnd.IDLE else None


def _forget(sandbox: Sandbox, standing: Job | None) -> None:
    """Its jobs have no sandbox any more, or, the standing one, a sleeping one."""
    now = timezone.now()
    bumped: dict[str, Any] = {"revision": F("revision") + 1, "changed_at": now, "sandbox_message": ""}
    in_it = Job.objects.filter(in_sandbox=sandbox)
    stays = Q(pk=standing.pk) if standing else Q(pk__in=[])
    shown = list(in_it.filter(~Q(sandbox=SandboxState.NONE) | stays).only("pk", "owner_id"))
    in_it.filter(~stays & ~Q(sandbox=SandboxState.NONE)).update(sandbox=SandboxState.NONE, **bumped)
    if standing is not None:
        Job.objects.filter(pk=standing.pk).update(sandbox=SandboxState.SLEEPING, **bumped)
        standing.sandbox = SandboxState.SLEEPING
    kind = "stopped_idle" if sandbox.reason == SandboxEnd.IDLE else "sandbox_ended"
    detail = {"reason": sandbox.reason} | ({"message": sandbox.message} if sandbox.message else {})
    JobEvent.objects.bulk_create(JobEvent(job_id=job.pk, at=now, kind=kind, detail=detail) for job in shown)
    for job in shown:
        announce(job)


def _count(standing: Job, sandbox: Sandbox, reason: SandboxEnd, *, with_host: bool) -> None:
    """How often it has died by itself in a row, and from when on the next one may be made."""
    now = timezone.now()
    if reason in WISHED_ENDS:
        deaths = 0
    elif with_host:
        deaths = standing.deaths
    elif sandbox.up_at is not None and now - sandbox.up_at >= timedelta(seconds=BACKOFF_LIMIT_S):
        deaths = 1
    else:
        deaths = standing.deaths + 1
    must_pause = deaths > 0 and not with_host
    standing.deaths, standing.recover_at = deaths, now + backoff(deaths) if must_pause else None
    Job.objects.filter(pk=standing.pk).update(deaths=deaths, recover_at=standing.recover_at)


def backoff(deaths: int) -> timedelta:
    """How long after that many deaths in a row the next sandbox is made."""
    return timedelta(seconds=min(2.0 ** (min(deaths, 20) - 2), BACKOFF_LIMIT_S) if deaths > 1 else 0)


def _recover(standing: Job, sandbox: Sandbox) -> None:
    now = timezone.now()
    due_at = standing.recover_at or now
    Job.objects.filter(pk=standing.pk).update(down_since=standing.down_since or now, recover_at=due_at)
    detail = {
        "reason": sandbox.reason, "host": sandbox.host.name if sandbox.host else None,
        "attempt": standing.deaths or 1, "again_s": max(0.0, round((due_at - now).total_seconds(), 1)),
    }  # fmt: skip
    JobEvent.objects.create(job_id=standing.pk, kind="recovering", detail=detail)
    if due_at <= now:
        sandbox_raise(standing, WakeCause.RECOVERY)


def recover_due(now: datetime) -> int:
    """Make the next sandboxes of always-on jobs whose time has come. Returns how many."""
    due = Job.objects.filter(
        no_sleep=True, recover_at__lte=now, sandbox=SandboxState.SLEEPING, status__in=JOB_FINAL
    )
    count = 0
    for job_id in list(due.values_list("pk", flat=True)):
        try:
            count += _recover_one(due.filter(pk=job_id))
        except Exception:  # the others must not wait for this one
            logger.exception("the sandbox of job %s could not be made again", job_id)
    return count


def _recover_one(due: QuerySet[Job]) -> bool:
    with transaction.atomic():
        job = due.select_for_update().first()  # a stop, or a wake, may have come first
        standing = standing_job(job.workspace_id) if job else None
        if job is None or standing is None or standing.pk != job.pk:
            due.update(recover_at=None)
            return False
        try:
            with transaction.atomic():
                sandbox_raise(standing, WakeCause.RECOVERY)
        except WorkspaceInUse:
            return False  # by a job: the end of its sandbox goes on with this
        except CannotWake as error:
            _given_up(job, error.message)
            return False
    return True


def workspace_deleted(workspace: Workspace) -> None:
    """No sandbox comes back from it."""
    asleep = Job.objects.filter(workspace=workspace, sandbox=SandboxState.SLEEPING)
    for job in asleep.only("pk", "owner_id"):
        gone = {"sandbox": SandboxState.NONE, "sandbox_message": "", "recover_at": None, "down_since": None}
        asleep.filter(pk=job.pk).update(**gone, revision=F("revision") + 1, changed_at=timezone.now())
        JobEvent.objects.create(job_id=job.pk, kind="workspace_deleted")
        announce(job)
