"""How sandboxes look to people. No queries here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.urls import reverse

from core.labels import label_url
from dashboard.presentation import REASON_SENTENCES, Label, duration_text
from jobs.models import Job, Lease
from jobs.states import JOB_FINAL, JobStatus, SandboxState
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase

COMES_BACK = "Stopped to save memory. Its files are saved, and it comes back when somebody wants it."
PUT_AWAY = "It was stopped, or has ended. Waking it starts a new one from its saved files."
FROZEN = "Frozen in its host's memory. It wakes in milliseconds when somebody wants it."
ALWAYS_ON = "Always on: it never sleeps, and comes back by itself when it is lost."
LABELS: dict[str, Label] = {
    SandboxPhase.WAITING: Label("Waiting", "waiting"),
    SandboxPhase.OFFERED: Label("Starting", "running"),
    SandboxPhase.RUNNING: Label("Running", "ok"),
    SandboxPhase.ENDING: Label("Stopping", "running"),
}


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """`job` is the one by whose id it is woken, stopped and set: the standing one."""

    job: str
    name: str
    href: str
    workspace: str
    label: str
    tone: str
    sentence: str
    since: datetime | None
    host: str
    url: str
    memory: str
    can_wake: bool
    can_stop: bool
    can_stay: bool  # it outlives scripts, so there is something to set
    is_always_on: bool
    startup_command: str


def has_shell(job: Job) -> bool:
    """Whether a command can be executed in its sandbox: now, or once that has been woken."""
    return job.is_persistent or (job.in_sandbox_id is not None and job.status not in JOB_FINAL)


def sandbox_card(job: Job, live: Sandbox | None) -> SandboxCard:
    """Of the standing job, or one without such, and the live sandbox, if there is one."""
    word, tone = _label(job, live)
    lease: Lease | None = getattr(job, "current", None)
    host = live.host if live else lease.host if lease and _is_alone(job) else None
    memory_mb = live.memory_mb if live else job.memory_mb
    return SandboxCard(
        job=str(job.pk),
        name=job.workspace_name or job.name or str(job.pk)[:8],
        href=reverse("dashboard:job", args=[str(job.pk)]),
        workspace=job.workspace_name,
        label=word,
        tone=tone,
        sentence=_sentence(job, live),
        since=_since(job, live),
        host=host.name if host else "",
        url=label_url(str(job.pk)) if job.url_port else "",
        memory=f"{memory_mb:,} MB",
        can_wake=job.is_persistent and (live is None or live.asleep_since is not None),
        can_stop=live.state != SandboxPhase.ENDING if live else job.sandbox != SandboxState.NONE,
        can_stay=job.is_persistent,
        is_always_on=job.no_sleep,
        startup_command=job.startup_command,
    )


def _is_alone(job: Job) -> bool:
    """Its sandbox lives with its script."""
    return job.in_sandbox_id is None and job.status == JobStatus.RUNNING


def _label(job: Job, live: Sandbox | None) -> Label:
    if live is None:
        if _is_alone(job):
            return LABELS[SandboxPhase.RUNNING]
        return Label("Sleeping" if job.sandbox == SandboxState.SLEEPING else "Stopped", "quiet")
    if live.state == SandboxPhase.RUNNING and live.asleep_since is not None:
        is_waking = live.wake_wished > live.wake_done
        return Label("Waking", "running") if is_waking else Label("Sleeping", "quiet")
    return LABELS[live.state]


def _sentence(job: Job, live: Sandbox | None) -> str:
    if live is None:
        comes_back = COMES_BACK if job.sandbox == SandboxState.SLEEPING else PUT_AWAY
        return "It lives with its script." if _is_alone(job) else job.sandbox_message or comes_back
    if live.state == SandboxPhase.WAITING:
        return live.message or REASON_SENTENCES.get(live.reason, "It waits for a host.")
    if live.state == SandboxPhase.ENDING:
        return "What is not saved yet is being saved."
    if live.asleep_since is not None:
        return FROZEN
    return ALWAYS_ON if job.no_sleep else _idle_sentence(live)


def _idle_sentence(live: Sandbox) -> str:
    idle_s = settings.IDLE_S if live.idle_s is None else live.idle_s
    if not (idle_s and live.sleeps and live.is_kept):
        return ""
    after = duration_text(round(idle_s * 1000)).removesuffix(" 0 s")
    return f"It sleeps after {after} without use."


def _since(job: Job, live: Sandbox | None) -> datetime | None:
    if live is None:
        return job.started_at if _is_alone(job) else None
    return live.asleep_since or live.up_at or live.created_at
