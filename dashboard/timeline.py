"""The history of a job and its sandbox, in sentences. No queries here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from dashboard.presentation import REASON_LABELS, REASON_SENTENCES, Stage, duration_text, stages_of
from jobs.models import Job, JobEvent
from jobs.states import Reason
from sandboxes.states import SandboxEnd

Detail = dict[str, Any]  # as it was written with the event
SHOWN_LIMIT = 200  # the API has all
# So long after the submit what counts is how much later it was; afterwards, how long ago it is.
FIRST = timedelta(minutes=1)
OFTEN = {"checkpoint"}

CAUSES = {
    "url": "a visit of its URL",
    "connection": "a connection",
    "ssh": "SSH",
    "exec": "a command",
    "access": "a wish for access",
    "run": "a run",
    "wish": "its owner",
    "restart": "the restart of its host's agent",
    "recovery": "Mags: it is always on",
}
ENDS: dict[str, str] = {
    SandboxEnd.DONE: "Its script was over.",
    SandboxEnd.STOPPED: "Somebody stopped it.",
    SandboxEnd.IDLE: "Its files are saved; it comes back when somebody wants it.",
    SandboxEnd.OOM: "It used more memory than its limit.",
    SandboxEnd.DISK_FULL: "Its disk was full.",
    SandboxEnd.LOST: "Its host went away, or lost it.",
    SandboxEnd.START_FAILED: "It did not start.",
    SandboxEnd.RESTORE_FAILED: "Its files could not be fetched.",
    SandboxEnd.DAMAGED: "Stored data of its workspace is missing or changed.",
}
LABELS = {
    "submitted": "Submitted",
    "started": "Script started",
    "stop_requested": "Stop asked for",
    "retrying": "Trying again",
    "save_failing": "Files cannot be saved",
    "save_works": "Files can be saved again",
    "sync_requested": "Sync asked for",
    "synced": "Files saved",
    "checkpoint": "Files saved by itself",
    "saved": "Files saved",
    "restored": "Files restored",
    "sandbox_ended": "Sandbox ended",
    "sandbox_stopped": "Sandbox stopped",
    "sandbox_waits": "The sandbox waits",
    "slept": "Fell asleep",
    "stopped_idle": "Stopped, as it had slept for long",
    "up": "Sandbox is up",
    "recovery_failed": "It cannot come back",
    "startup_started": "Start-up command started",
}
TONES = {
    "started": "ok", "up": "ok", "recovered": "ok", "woke": "ok",
    "save_failing": "bad", "recovering": "bad", "recovery_failed": "bad",
    "slept": "quiet", "stopped_idle": "quiet", "sandbox_stopped": "quiet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline."""

    label: str
    at: datetime
    after: str  # "+85 ms" since the submit; empty for what came long after
    detail: str
    tone: str = ""
    stages: list[Stage] = field(default_factory=list)
    evidence: list[tuple[str, str]] = field(default_factory=list)


def timeline(job: Job, events: list[JobEvent]) -> list[Moment]:
    """The events come newest first. Of saves in a row the newest stands for all."""
    rows = (list(row) for _, row in groupby(events, lambda event: event.kind in OFTEN or event.pk))
    return [_moment(job, row[0], len(row)) for row in rows]


def _moment(job: Job, event: JobEvent, times: int) -> Moment:
    detail, since = event.detail, event.at - job.created_at
    stages = stages_of(detail.get("stages") or detail)
    label = _label(event.kind, detail)
    return Moment(
        label=f"{label}, {times} times" if times > 1 else label,
        at=event.at,
        after=f"+{duration_text(round(since / timedelta(milliseconds=1)))}" if since < FIRST else "",
        detail=_sentence(event.kind, detail),
        tone=_tone(event.kind, detail),
        stages=stages if len(stages) > 1 else [],
        evidence=_evidence(detail.get("evidence") or {}),
    )


def _label(kind: str, detail: Detail) -> str:
    worded = _WORDED.get(kind)
    return worded(detail) if worded else LABELS.get(kind, kind.replace("_", " ").capitalize())


def _finished(detail: Detail) -> str:
    reason = detail.get("reason") or ""
    if reason == Reason.STOPPED:
        return "Stopped"
    if reason:
        return REASON_LABELS.get(reason, "Error")
    exit_code = detail.get("exit_code")
    return "Completed" if exit_code == 0 else f"Exited with code {exit_code}"


def _woke(detail: Detail) -> str:
    ms = detail.get("ms")
    return f"Woke in {duration_text(ms)}" if isinstance(ms, int) else "Woke"


def _recovered(detail: Detail) -> str:
    ms = detail.get("ms")
    return f"Recovered in {duration_text(ms)}" if isinstance(ms, int) else "Recovered"


def _startup_exited(detail: Detail) -> str:
    code = detail.get("exit_code")
    return "Start-up command ended" if code is None else f"Start-up command exited with code {code}"


def _changed(detail: Detail) -> str:
    if "no_sleep" in detail:
        return "Always on from here" if detail["no_sleep"] else "No longer always on"
    return "Start-up command changed" if "startup_command" in detail else "Settings changed"


_WORDED: dict[str, Callable[[Detail], str]] = {
    "assigned": lambda detail: f"Assigned to {detail.get('host') or 'a host'}",
    "changed": _changed,
    "finished": _finished,
    "renamed": lambda detail: f"Renamed to {detail.get('name', '')}",
    "url_opened": lambda detail: f"URL leads to port {detail.get('url_port', '')}",
    "waking": lambda detail: f"Waking, for {_cause(detail)}",
    "woke": _woke,
    "recovering": lambda detail: f"Lost{_on(detail)}: a new sandbox is made",
    "recovered": _recovered,
    "startup_exited": _startup_exited,
}


def _cause(detail: Detail) -> str:
    return CAUSES.get(str(detail.get("cause") or ""), "somebody")


def _on(detail: Detail) -> str:
    return f" on {detail['host']}" if detail.get("host") else ""


def _sentence(kind: str, detail: Detail) -> str:
    if detail.get("message"):
        return str(detail["message"])
    reason = str(detail.get("reason") or "")
    if kind in ("sandbox_ended", "recovering"):
        return ENDS.get(reason, "")
    if kind == "retrying":
        return REASON_SENTENCES.get(reason, "")
    if kind == "woke":
        return f"By {_cause(detail)}."
    attempt = detail.get("attempt", 1)
    if kind == "assigned" and attempt != 1:
        return f"Attempt {attempt}"
    again_s = detail.get("again_s")
    if kind == "startup_exited" and isinstance(again_s, int | float):
        return f"It runs again in {duration_text(round(again_s * 1000))}."
    return ""


def _tone(kind: str, detail: Detail) -> str:
    if kind == "finished" and not detail.get("reason"):
        return "ok" if detail.get("exit_code") == 0 else "bad"
    if kind == "startup_exited":
        return "ok" if detail.get("exit_code") == 0 else "bad"
    return TONES.get(kind, "")


def _evidence(found: Detail) -> list[tuple[str, str]]:
    """Why its host took it for idle: names and values."""
    numbers = {name: value for name, value in found.items() if isinstance(value, int)}
    lines = []
    if "idle_ms" in numbers:
        lines.append(("Idle for", duration_text(numbers["idle_ms"])))
    if numbers.get("window_ms") and "cpu_ms" in numbers:
        lines.append(("CPU", f"{100 * numbers['cpu_ms'] / numbers['window_ms']:.1f} %"))
    counts = {"connections": "Connections", "execs": "Commands", "runs": "Scripts"}
    return lines + [(word, str(numbers[name])) for name, word in counts.items() if name in numbers]
