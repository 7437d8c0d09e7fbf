"""Has the sandbox behind a job get up: thaws one that is frozen, makes a new one where it has ended.

However many ask, there is one wake: the workspace can be taken once, and a wish is not repeated while it
is unanswered.
"""

from __future__ import annotations

import contextlib

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core.errors import Unavailable
from core.wakeup import wake_on_commit
from jobs.errors import CannotWake
from jobs.models import Job
from jobs.services import schedule
from jobs.services.raising import job_join, sandbox_raise, waking_noted
from jobs.standing import Standing, job_waiting, sandbox_serving, standing_job, standing_of
from jobs.states import JOB_FINAL, SandboxState, WakeCause
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_lock, sandbox_want_next, sandbox_wish_wake
from sandboxes.states import SandboxPhase
from workspaces.errors import WorkspaceInUse

WAKE_TRIES = 5  # a wake starts over when somebody else took or freed the workspace meanwhile
PUT_AWAY = "The sandbox was stopped, or has ended for good: a visit does not start it."
PUT_AWAY_REMEDY = (
    "Its owner can start it again: `POST /api/v1/mags-jobs/{job}/wake`, or a job on its workspace."
)
NOT_YET = "The sandbox ended by itself {deaths} times in a row; the next one is made in {seconds} s."


def sandbox_wake(job: Job, cause: str) -> Standing:
    """Raises CannotWake where there is nothing to wake, Unavailable where it is not to be tried yet. Whoever
    waits for it to be up listens to `job.<id>` before calling this, and looks at `jobs.standing` again."""
    sandbox = sandbox_serving(job.workspace_id, job.in_sandbox_id)
    wanted = WakeCause(cause)
    if wanted is not WakeCause.WISH and _is_awake(sandbox):
        return Standing.RUNNING
    for _ in range(WAKE_TRIES):
        with contextlib.suppress(WorkspaceInUse), transaction.atomic():
            return _wake(job, wanted)
    raise Unavailable("The sandbox is changing hands; it could not be woken.")


def _is_awake(sandbox: Sandbox | None) -> bool:
    return sandbox is not None and sandbox.state == SandboxPhase.RUNNING and sandbox.asleep_since is None


def _wake(job: Job, cause: WakeCause) -> Standing:
    found = sandbox_serving(job.workspace_id, job.in_sandbox_id)
    sandbox = sandbox_lock(found.pk) if found else None  # its host's row first
    standing = standing_job(job.workspace_id, lock=True) or job  # a stop comes before this or after
    if sandbox is None:
        _require_due(standing, cause)
        sandbox = sandbox_raise(standing, cause)
        waking_noted(standing, cause)
        transaction.on_commit(schedule.schedule_waiting)
    elif sandbox.state == SandboxPhase.RUNNING:
        _wish(standing, sandbox, cause)
    elif sandbox.state == SandboxPhase.ENDING:
        _want_next(standing, sandbox, cause)
        _show_coming(sandbox)
    if sandbox.state != SandboxPhase.RUNNING:
        job_join(job, sandbox)
    return standing_of(sandbox)


def _require_due(standing: Job, cause: WakeCause) -> None:
    if cause is WakeCause.URL and standing.is_persistent and standing.sandbox == SandboxState.NONE:
        raise CannotWake(PUT_AWAY, remediation=PUT_AWAY_REMEDY)
    now = timezone.now()
    if cause is not WakeCause.WISH and standing.recover_at is not None and standing.recover_at > now:
        seconds = round((standing.recover_at - now).total_seconds()) + 1
        words = NOT_YET.format(deaths=standing.deaths, seconds=seconds)
        raise Unavailable(words, remediation="Its timeline says why.", retry_after_s=seconds)


def _wish(standing: Job, sandbox: Sandbox, cause: WakeCause) -> None:
    if sandbox.asleep_since is not None and sandbox.wake_wished > sandbox.wake_done:
        return  # wished already, and not answered yet
    sandbox_wish_wake(sandbox)
    if sandbox.asleep_since is not None:
        waking_noted(standing, cause)
    wake_on_commit(f"host.{sandbox.host_id}")


def _want_next(standing: Job, sandbox: Sandbox, cause: WakeCause) -> None:
    """It ends, and cannot be held back. The next one is made by its end, from what it saves now."""
    if sandbox.next_for or job_waiting(sandbox):
        return
    is_away = sandbox.is_put_away if sandbox.is_kept else standing.sandbox == SandboxState.NONE
    if cause is WakeCause.URL and is_away:
        raise CannotWake(PUT_AWAY, remediation=PUT_AWAY_REMEDY)
    if not sandbox.is_synced or sandbox.workspace_id is None or not standing.is_persistent:
        raise CannotWake
    sandbox_want_next(sandbox, cause)
    waking_noted(standing, cause)


def _show_coming(sandbox: Sandbox) -> None:
    """What ends does not run any more for whoever waits for the next one."""
    shown = Job.objects.filter(in_sandbox=sandbox, sandbox=SandboxState.RUNNING, status__in=JOB_FINAL)
    shown.update(sandbox=SandboxState.SLEEPING, revision=F("revision") + 1, changed_at=timezone.now())
