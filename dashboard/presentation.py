"""How jobs look to people: words, tones and numbers, from the fields of a job. No queries here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.urls import reverse

from core.labels import label_url
from jobs.models import Job
from jobs.states import JOB_FINAL, JobStatus, Reason

TITLE_LIMIT_CHARS = 200
STAGES = {
    "queued": "Queued",
    "assigned": "Sent to the host",
    "restored": "Files ready",
    "started": "Sandbox started",
    "script": "Script",
}
TITLE_MARKS = {"waiting": "○", "running": "●", "ok": "✓", "bad": "✗", "quiet": "–"}
REASON_LABELS: dict[str, str] = {
    Reason.OOM: "Out of memory",
    Reason.TIMED_OUT: "Timed out",
    Reason.DISK_FULL: "Disk full",
    Reason.START_FAILED: "Start failed",
    Reason.HOST_LOST: "Host lost",
    Reason.WORKSPACE_DAMAGED: "Workspace damaged",
}
REASON_SENTENCES: dict[str, str] = {
    Reason.NO_HOST: "No host is online. The job starts as soon as one is.",
    Reason.NO_CAPACITY: "Every host is full. The job starts as soon as there is room.",
    Reason.SAVING: "Its workspace is being saved by the sandbox before.",
    Reason.STARTING: "Its sandbox is coming up.",
    Reason.STOPPED: "Somebody stopped it.",
    Reason.OOM: "The script used more memory than its limit.",
    Reason.TIMED_OUT: "The script ran longer than its timeout.",
    Reason.DISK_FULL: "The script filled its disk.",
    Reason.START_FAILED: "The sandbox did not start. The script did not run.",
    Reason.HOST_LOST: "The host went away while the script ran.",
    Reason.WORKSPACE_DAMAGED: "Stored data of its workspace is missing or changed. The script did not run.",
}

# What to do about it. The words before may be a host's own; these are not.
REASON_REMEDIES: dict[str, str] = {
    Reason.NO_HOST: "Start the host's agent, or add a host.",
    Reason.OOM: "Run it again with more memory: Edit and run, Limits.",
    Reason.TIMED_OUT: "Run it again with a longer timeout, or with none.",
    Reason.DISK_FULL: "Run it again with a larger disk, or remove what it need not keep.",
    Reason.START_FAILED: "Run it again. If that fails too, the host's log says why.",
    Reason.HOST_LOST: "Look at what it has done, then run it again; with retries that happens by itself.",
    Reason.WORKSPACE_DAMAGED: "Restore an earlier version on the workspace's page.",
}


class Label(NamedTuple):
    """A word for a state, and the tone it is said in (a CSS class)."""

    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class JobCard:
    """What the list and the head of the job page show."""

    id: str
    name: str
    title: str
    preview: str
    href: str
    label: str
    tone: str
    sentence: str
    remedy: str
    exit_code: int | None
    duration: str
    running_since: datetime | None
    host: str
    created_at: datetime
    is_final: bool
    is_stopping: bool

    @property
    def short_id(self) -> str:
        return self.id[:8]

    @property
    def page_title(self) -> str:
        return f"{TITLE_MARKS[self.tone]} {self.label} · {self.title[:60]} · Mags"


class Stage(NamedTuple):
    """A stretch of a job's time."""

    name: str
    label: str
    ms: int
    text: str


class Fact(NamedTuple):
    """A line among the details: a text, perhaps one that leads somewhere, or a time."""

    label: str
    text: str = ""
    at: datetime | None = None
    address: str = ""


class Draft(NamedTuple):
    """A job to run again, perhaps changed: `carried` is JSON for the API that the form does not show."""

    job: Job
    carried: str
    note: str


def job_card(job: Job, head: str, host: str) -> JobCard:
    """`head` is the beginning of the job's script."""
    word, tone = job_label(job)
    preview = script_preview(head)
    is_running = job.status == JobStatus.RUNNING
    return JobCard(
        id=str(job.pk),
        name=job.name,
        title=job.name or preview,
        preview=preview,
        href=reverse("dashboard:job", args=[str(job.pk)]),
        label=word,
        tone=tone,
        sentence=job.message or REASON_SENTENCES.get(job.reason, ""),
        remedy=REASON_REMEDIES.get(job.reason, ""),
        exit_code=job.exit_code,
        duration="" if job.script_duration_ms is None else duration_text(job.script_duration_ms),
        running_since=job.started_at if is_running else None,
        host=host,
        created_at=job.created_at,
        is_final=job.status in JOB_FINAL,
        is_stopping=job.stop_requested_at is not None,
    )


def job_label(job: Job) -> Label:
    """A non-zero exit is the script's own end, so it is "Exited", not an error."""
    if job.status not in JOB_FINAL and job.stop_requested_at is not None:
        return Label("Stopping", "running")
    if job.status == JobStatus.ACCEPTED:
        return Label("Starting" if job.assigned_at else "Waiting", "waiting")
    if job.status == JobStatus.COMPLETED:
        return _completed_label(job)
    if job.status == JobStatus.ERROR:
        return Label(REASON_LABELS.get(job.reason, "Error"), "bad")
    return Label("Running", "running") if job.status == JobStatus.RUNNING else Label("Sleeping", "quiet")


def _completed_label(job: Job) -> Label:
    if job.reason == Reason.STOPPED:
        return Label("Stopped", "quiet")
    return Label("Completed", "ok") if job.exit_code == 0 else Label("Exited", "bad")


def script_preview(script: str) -> str:
    """The first line that says something: no shebang, comment or `set`."""
    lines = [line.strip() for line in script.splitlines() if line.strip()]
    telling = (line for line in lines if not line.startswith(("#", "set -")))
    return next(telling, lines[0] if lines else "(empty script)")[:TITLE_LIMIT_CHARS]


def draft(job: Job) -> Draft:
    """Names what the form has no field for, so that nothing is taken over or lost unseen."""
    carried = {
        "environment": job.environment,
        "rootfs_type": job.image,
        "disk_gb": job.disk_gb,
        "retries": job.retries,
    }
    count = len(job.environment)
    variables = "1 environment variable" if count == 1 else f"{count} environment variables"
    note = f"Image, disk, retries and {variables} are those of {job.name or 'the job'}, as it was run."
    return Draft(job, json.dumps(carried), note)


def stages(job: Job) -> list[Stage]:
    """Where the time went, so far."""
    known: dict[str, Any] = dict(job.timings)
    if job.script_duration_ms is not None:
        known["script"] = job.script_duration_ms
    return stages_of(known)


def stages_of(known: dict[str, Any]) -> list[Stage]:
    """Those that we have words for."""
    return [
        Stage(name, label, known[name], duration_text(known[name]))
        for name, label in STAGES.items()
        if isinstance(known.get(name), int)
    ]


def facts(job: Job, host: str, isolation: str) -> list[Fact]:
    waited = f" ({job.reason})" if job.reason else ""
    found = [
        Fact("Status", f"{job.status}{waited}"),
        *_workspace(job),
        Fact("Host", host or "None yet"),
        Fact("Isolation", isolation or "–"),
        Fact("Image", job.image),
        Fact("CPUs", str(job.vcpus)),
        Fact("Memory", f"{job.memory_mb:,} MB"),
        Fact("Disk", f"{job.disk_gb} GB"),
        Fact("Timeout", duration_text(job.timeout_s * 1000) if job.timeout_s else "None"),
        Fact("Output", _output(job)),
    ]
    if job.url_port:
        url = label_url(str(job.pk))
        found.append(Fact("URL", f"{url} (port {job.url_port})", address=url))
    if job.attempt > 1 or job.retries:
        found.append(Fact("Attempt", f"{job.attempt} ({job.retries} retries allowed)"))
    times = {
        "Created": job.created_at, "Started": job.started_at, "Finished": job.finished_at,
        "Saved": job.durable_at, "Unsaved since": job.unsaved_since,
    }  # fmt: skip
    return found + [Fact(label, at=at) for label, at in times.items() if at]


def _workspace(job: Job) -> list[Fact]:
    """Where its files stay; its name too when it is gone."""
    if not job.workspace_name:
        return []
    address = reverse("dashboard:workspace", args=[job.workspace_name]) if job.workspace_id else ""
    return [Fact("Workspace", job.workspace_name, address=address)]


def _output(job: Job) -> str:
    if job.logs_expired_at:
        return f"{size_text(job.log_bytes)}, removed after its retention"
    dropped = f", {size_text(job.dropped_bytes)} dropped over the limits" if job.dropped_bytes else ""
    return size_text(job.log_bytes) + dropped


def duration_text(ms: int) -> str:
    """0 ms, 85 ms, 1.2 s, 42 s, 3 min 5 s, 2 h 4 min: as static/dashboard/js/format.js writes them."""
    if ms < 1000:
        return f"{max(0, ms)} ms"
    if ms < 9950:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def size_text(size_bytes: int) -> str:
    """512 B, 1.4 KB, 12 MB: powers of 1024."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("KB", "MB", "GB"):
        size /= 1024
        if size < 1024 or unit == "GB":
            break
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"
