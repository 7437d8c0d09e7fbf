"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, with less than it could
    LATER = "later"  # missing, and `make up` installs it
    MISSING = "missing"  # nothing works without it


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    status: Status
    found: str  # version, size, or what is wrong
    remedy: str = ""  # what to do, where something is to be done


def ok(name: str, found: str = "") -> Finding:
    return Finding(name, Status.OK, found)


def note(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, Status.NOTE, found, remedy)


def missing(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, Status.MISSING, found, remedy)
