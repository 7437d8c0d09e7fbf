"""One job in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mags.cli.human import duration, moment
from mags.cli.terminal import printable
from mags.lifecycle import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mags.types import Job

DOT = "●"
COLOURS = {"accepted": "yellow", "running": "cyan", "sleeping": "blue"}
STAYING = {"running": ("up", "cyan"), "sleeping": ("sleeping", "blue")}  # what a sandbox does
STAGES = ("queued", "assigned", "restored", "started")


def of(job: Job) -> str:
    """The card that `mags status` prints."""
    word, colour = state(job)
    exit_code = job.get("exit_code")
    words = word if word.startswith(job["status"]) else f"{job['status']}: {word}"
    title = click.style(f"{DOT} {printable(words)}", fg=colour, bold=True)
    if exit_code is not None:
        title += click.style(f"  exit {exit_code}", fg="red" if exit_code else "green")
    if job.get("message"):
        title += f"\n  {printable(job['message'])}"
    return lines(title, _rows(job))


def lines(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A card: its title and, below, each value that is there beside its label."""
    shown = [f"  {click.style(f'{label:<9}', dim=True)} {value}" for label, value in rows if value]
    return "\n".join([title, *shown])


def _rows(job: Job) -> list[tuple[str, str]]:
    host = " ".join(printable(part) for part in (job.get("host"), _braced(job.get("isolation"))) if part)
    return [
        ("name", printable(job.get("name") or "")),
        ("workspace", _workspace(job)),
        ("id", printable(job["request_id"])),
        ("created", moment(job.get("created_at"))),
        ("started", moment(job.get("started_at"))),
        ("finished", moment(job.get("finished_at"))),
        ("durable", moment(job.get("durable_at"))),
        ("unsaved", _unsaved(job)),
        ("url", printable(job.get("url") or "")),
        ("host", host),
        ("sandbox", _sandbox(job)),
        ("startup", printable(job.get("startup_command") or "")),
        ("timings", _timings(job)),
    ]


def _unsaved(job: Job) -> str:
    since = moment(job.get("unsaved_since"))
    return click.style(f"since {since}: saving fails, and is tried again", fg="red") if since else ""


def state(job: Job) -> tuple[str, str]:
    """The status or, where there is one, the reason, and the colour it has everywhere. What the sandbox
    does, which has stayed when the script ended, comes after it."""
    status, reason = job["status"], job.get("reason")
    word = printable(reason or status)
    if status not in FINAL:
        return word, COLOURS.get(status, "white")
    stays = STAYING.get(job.get("sandbox") or "")
    if stays:
        return f"{word}, {stays[0]}", stays[1]
    if status == "completed":
        return word, "yellow" if reason == "stopped" else "red" if job.get("exit_code") else "green"
    return word, "red"


def made(job: Job, took_ms: int, *, is_saved: bool) -> str:
    """What `mags new` prints: that it is there, and how to enter."""
    name = printable(job.get("name") or job["request_id"])
    saved = "saved for good" if is_saved else "on its host only"
    rows = [
        ("url", printable(job.get("url") or "")),
        ("workspace", f"{printable(job.get('workspace_id') or '')} ({saved})"),
        ("took", duration(took_ms)),
        ("run", f"mags exec {name} -- uname -a"),
        ("enter", f"mags ssh {name}"),
        ("publish", "" if job.get("url") else f"mags url {name} 8080"),
        ("end", f"mags stop {name}"),
    ]
    return lines(click.style(f"{DOT} {name} is up", fg="cyan", bold=True), rows)


def _sandbox(job: Job) -> str:
    what = STAYING.get(job.get("sandbox") or "", ("", ""))[0]
    sleep = "never sleeps" if job.get("no_sleep") else ""
    return ", ".join(word for word in (printable(job.get("vm_id") or ""), what, sleep) if word)


def _timings(job: Job) -> str:
    timings: Mapping[str, object] = job.get("timings") or {}
    parts = [f"{stage} {duration(ms)}" for stage in STAGES if isinstance(ms := timings.get(stage), int)]
    if job.get("script_duration_ms") is not None:
        parts.append(f"script {duration(job['script_duration_ms'])}")
    return " → ".join(parts)


def _workspace(job: Job) -> str:
    own, base = (printable(job.get(key) or "") for key in ("workspace_id", "base_workspace_id"))
    words = (own, "(persistent)" if job.get("persistent") else "", f"on {base}" if base else "")
    return " ".join(word for word in words if word)


def _braced(text: str | None) -> str:
    return f"({text})" if text else ""
