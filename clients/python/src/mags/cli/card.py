"""One job in words."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from mags.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mags.types import Job

DOT = "●"
COLOURS = {"accepted": "yellow", "running": "cyan", "sleeping": "blue", "error": "red"}
STAGES = ("queued", "assigned", "restored", "started")


def of(job: Job) -> str:
    """The card that `mags status` prints."""
    word, colour = state(job)
    exit_code = job.get("exit_code")
    words = job["status"] + (f": {word}" if word != job["status"] else "")
    title = click.style(f"{DOT} {printable(words)}", fg=colour, bold=True)
    if exit_code is not None:
        title += click.style(f"  exit {exit_code}", fg="red" if exit_code else "green")
    lines = [title]
    if job.get("message"):
        lines.append(f"  {printable(job['message'])}")
    for label, value in _rows(job):
        if value:
            lines.append(f"  {click.style(f'{label:<9}', dim=True)} {value}")
    return "\n".join(lines)


def _rows(job: Job) -> list[tuple[str, str]]:
    host = " ".join(printable(part) for part in (job.get("host"), _braced(job.get("isolation"))) if part)
    return [
        ("name", printable(job.get("name") or "")),
        ("id", printable(job["request_id"])),
        ("created", _moment(job.get("created_at"))),
        ("started", _moment(job.get("started_at"))),
        ("finished", _moment(job.get("finished_at"))),
        ("host", host),
        ("sandbox", printable(job.get("vm_id") or "")),
        ("timings", _timings(job)),
    ]


def state(job: Job) -> tuple[str, str]:
    """The status or, where there is one, the reason, and the colour it has everywhere."""
    status, reason = job["status"], job.get("reason")
    if status == "completed":
        colour = "yellow" if reason == "stopped" else "red" if job.get("exit_code") else "green"
    else:
        colour = COLOURS.get(status, "white")
    return reason or status, colour


def _timings(job: Job) -> str:
    timings: Mapping[str, object] = job.get("timings") or {}
    parts = [f"{stage} {duration(ms)}" for stage in STAGES if isinstance(ms := timings.get(stage), int)]
    if job.get("script_duration_ms") is not None:
        parts.append(f"script {duration(job['script_duration_ms'])}")
    return " → ".join(parts)


def _braced(text: str | None) -> str:
    return f"({text})" if text else ""


def _moment(stamp: str | None) -> str:
    if not stamp:
        return ""
    at = parse(stamp)
    if at is None:
        return printable(stamp)
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}  {click.style(ago(stamp), dim=True)}"


def parse(stamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return None


def ago(stamp: str | None) -> str:
    """A time as people say it: `3 min ago`."""
    found = age(stamp)
    return f"{found} ago" if found else ""


def age(stamp: str | None) -> str:
    at = parse(stamp) if stamp else None
    if at is None:
        return ""
    seconds = max((datetime.now(timezone.utc) - at).total_seconds(), 0)
    for limit, unit_s, word in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit_s)} {word}"
    return f"{int(seconds // 86400)} d"


def duration(ms: int | None) -> str:
    """`12 ms`, `3.4 s`, `2 min 5 s`, `1 h 3 min`."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
