"""How commands that were executed in a sandbox look to people. No queries here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.presentation import Label, duration_text
from execs.models import Exec
from execs.states import ExecEnd, ExecState, Origin

SHOWN_LIMIT = 100  # the API has all
COMMAND_SHOWN_CHARS = 500
ORIGINS: dict[str, str] = {
    Origin.API: "API",
    Origin.SOCKET: "Command line",
    Origin.TERMINAL: "Terminal",
    Origin.STARTUP: "Start-up",
}
ENDS: dict[str, Label] = {
    ExecEnd.SIGNALED: Label("Ended by a signal", "quiet"),
    ExecEnd.TIMED_OUT: Label("Timed out", "bad"),
    ExecEnd.OOM: Label("Out of memory", "bad"),
    ExecEnd.LOST: Label("Lost", "bad"),
    ExecEnd.NOT_STARTED: Label("Not started", "bad"),
}


@dataclass(frozen=True, slots=True)
class ExecRow:
    """A line in the table of commands."""

    id: str
    command: str
    origin: str
    label: str
    tone: str
    message: str
    exit_code: int | None
    at: datetime
    duration: str
    running_since: datetime | None
    is_running: bool


def exec_row(found: Exec) -> ExecRow:
    word, tone = _label(found)
    took = found.ended_at - found.started_at if found.ended_at and found.started_at else None
    return ExecRow(
        id=found.pk.hex,
        command=_command(found),
        origin=ORIGINS.get(found.origin, found.origin),
        label=word,
        tone=tone,
        message=found.message,
        exit_code=found.exit_code,
        at=found.created_at,
        duration="" if took is None else duration_text(round(took / timedelta(milliseconds=1))),
        running_since=found.started_at if found.state == ExecState.RUNNING else None,
        is_running=found.state == ExecState.RUNNING,
    )


def _command(found: Exec) -> str:
    return found.command[:COMMAND_SHOWN_CHARS] if found.command else "Login shell"


def _label(found: Exec) -> Label:
    if found.state == ExecState.STARTING:
        return Label("Starting", "waiting")
    if found.state == ExecState.RUNNING:
        return Label("Running", "running")
    if found.reason != ExecEnd.EXITED:
        return ENDS.get(found.reason, Label("Ended", "quiet"))
    return Label("Completed", "ok") if found.exit_code == 0 else Label("Exited", "bad")
