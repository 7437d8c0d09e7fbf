"""What the host of an exec is told: to start it, or only to join the caller to it."""

from __future__ import annotations

from execs import selectors
from execs.errors import NotStarted
from execs.models import Exec
from execs.services import Command
from execs.states import ExecEnd, ExecState
from execwire.frames import Open


def opening_of(row: Exec, command: Command | None, stdout: int = 0, stderr: int = 0) -> Open:
    """Output is wanted from these offsets. What may have run is not to be started: hosts forget an id a day
    after its end, and would start it anew. Raises NotStarted."""
    if row.state == ExecState.ENDED and row.reason == ExecEnd.NOT_STARTED:
        raise NotStarted(row.message)
    if command is None or not selectors.may_be_started(row):
        return Open(row.pk.hex, stdout, stderr)
    return command.opening(row.pk, stdout, stderr)
