"""What people change about a job: its name, what its sandbox is to be like, where its URL leads."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from core.wakeup import wake_on_commit
from jobs.errors import NotPersistent, Superseded
from jobs.models import Job
from jobs.services.transition import change
from jobs.services.waking import sandbox_wake
from jobs.standing import sandbox_serving, standing_job
from jobs.states import SandboxState, WakeCause
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_change, sandbox_lock
from sandboxes.states import SandboxPhase

ONLY_PERSISTENT = ("no_sleep", "startup_command")


def job_update(job: Job, **wanted: Any) -> Job:
    """Change the `name`, `no_sleep` or `startup_command` of a job, whatever its state. One that is never to
    sleep any more gets up.

    Raises NotPersistent, and Superseded where a newer job says what the sandbox is to be like.
    """
    about_sandbox = [name for name in ONLY_PERSISTENT if name in wanted]
    if about_sandbox:
        _require_standing(job, about_sandbox)
    if wanted.get("no_sleep") and job.sandbox == SandboxState.SLEEPING:
        sandbox_wake(job, WakeCause.WISH)  # first: where it is refused, nothing has changed
    return _set(job, event="changed" if about_sandbox else "renamed", **wanted)


def _require_standing(job: Job, names: list[str]) -> None:
    if not job.is_persistent:
        raise NotPersistent(fields=dict.fromkeys(names, "needs a persistent job"))
    standing = standing_job(job.workspace_id)
    if standing is not None and standing.pk != job.pk:
        words = f"The job {standing.name or standing.pk} has taken this one's place on the workspace."
        raise Superseded(words, remediation=f"Change the job {standing.pk}.")


def job_open_url(job: Job, port: int) -> Job:
    """Let the job's public URL lead to this port, from now on."""
    if job.in_sandbox_id is None:
        raise NotPersistent("The sandbox of this job cannot be reached: it lives with its script only.")
    return _set(job, event="url_opened", url_port=port)


def _set(job: Job, *, event: str, **wanted: Any) -> Job:
    """Whatever its state; nothing happens where it is so already."""
    while any(getattr(job, name) != value for name, value in wanted.items()):
        with transaction.atomic():
            found = sandbox_serving(job.workspace_id, job.in_sandbox_id)
            sandbox = sandbox_lock(found.pk) if found else None  # its host's row before the job's
            if change(job, event=event, detail=wanted, **wanted):
                _tell_host(job, sandbox)
                break
        job.refresh_from_db()
    return job


def _tell_host(job: Job, sandbox: Sandbox | None) -> None:
    """Wish of the sandbox what its job says now. The startup command is read when it comes up."""
    if sandbox is None or not (sandbox.is_kept and job.is_persistent):
        return
    wished: dict[str, Any] = {"sleeps": not job.no_sleep}
    if job.url_port is not None:
        wished["sleeps_with_runs"] = True
    if sandbox.state == SandboxPhase.WAITING and sandbox.made_for:
        wished["startup_command"] = job.startup_command
    news = {name: value for name, value in wished.items() if getattr(sandbox, name) != value}
    if news:
        sandbox_change(sandbox, **news)
        wake_on_commit(f"host.{sandbox.host_id}")
