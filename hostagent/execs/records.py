"""What is known of one exec, in its directory on the host, so that a killed data port's successor goes on:

exec.json   when its time is over; there before the command starts
cut.json    which part of the spool was given back
wish.json   that it is to be killed, and why; written first
end.json    how it ended. From here on nothing else is needed but the spool; later not even that

Replaced as a whole, and not synced: execs do not outlive the machine's page cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from execwire.frames import Outcome


class Mark(msgspec.Struct, frozen=True):
    """A point in the spool, and how much of each stream lies before it."""

    position: int = 0
    stdout: int = 0
    stderr: int = 0


class Start(msgspec.Struct, frozen=True):
    NAME: ClassVar[str] = "exec.json"
    expires_ms: int | None = None  # Unix time
    is_startup: bool = False  # the agent's own: nobody is active for it


class Cut(msgspec.Struct, frozen=True):
    """The spool is gone between these."""

    NAME: ClassVar[str] = "cut.json"
    head: Mark
    tail: Mark


class Wish(msgspec.Struct, frozen=True):
    NAME: ClassVar[str] = "wish.json"
    outcome: Outcome


class End(msgspec.Struct, frozen=True):
    NAME: ClassVar[str] = "end.json"
    outcome: Outcome
    exit_code: int | None
    at_ms: int
    total: Mark  # the spool's end


Record = Start | Cut | Wish | End
T = TypeVar("T", Start, Cut, Wish, End)


def load(directory: Path, kind: type[T]) -> T | None:
    """None where it was not written."""
    try:
        return msgspec.json.decode((directory / kind.NAME).read_bytes(), type=kind)
    except FileNotFoundError:
        return None


def save(directory: Path, record: Record) -> None:
    fresh = directory / f"{record.NAME}.new"
    fresh.write_bytes(msgspec.json.encode(record))
    fresh.replace(directory / record.NAME)
