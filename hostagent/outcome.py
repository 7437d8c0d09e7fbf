"""From how a script ended to what is said about it. Pure functions."""

from __future__ import annotations

import re

import msgspec

from hostagent.drivers.base import Exit
from hostagent.errors import AgentError
from hostagent.wire import Finished, Outcome

SIGKILL_CODE = 137
CODES: dict[Outcome, int] = {
    "stopped": 143,
    "timed_out": 124,
}  # where we end it; as a shell and timeout(1) say
MESSAGE_LIMIT = 300
NOT_STARTED = "The sandbox could not be started"
LOST = "The sandbox is gone and left no exit code."
_PATH = re.compile(r"(?<![\w:/])/[^\s'\",;:)]+")


def of_exit(end: Exit) -> tuple[Outcome, int]:
    """The outcome and exit code of a script that ended without our doing."""
    if end.is_oom and end.exit_code == SIGKILL_CODE:
        return "oom", end.exit_code
    if end.is_disk_full and end.exit_code != 0:
        return "disk_full", end.exit_code
    return "exited", end.exit_code


def message(outcome: Outcome, timeout_s: int | None) -> str:
    """A sentence for the user; nothing where the exit code says it all."""
    sentences: dict[Outcome, str] = {
        "oom": "The sandbox ran out of memory.",
        "disk_full": "The sandbox's disk was full.",
        "timed_out": f"The script did not end within its timeout of {timeout_s} s.",
        "lost": LOST,
    }
    return sentences.get(outcome, "")


def start_failed_message(error: AgentError) -> str:
    return sentence(NOT_STARTED, error)


def sentence(what: str, error: AgentError) -> str:
    """One for the user: no second line, none of the host's paths."""
    why = (error.message.splitlines() or ["unknown reason"])[0]
    return f"{what}: {_PATH.sub('…', why)}"[:MESSAGE_LIMIT]


def lost(end: Finished, why: str) -> Finished:
    """The same end, where the host cannot stand by it any more."""
    return msgspec.structs.replace(end, outcome="lost", exit_code=None, message=why)
