"""What is counted, and for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from typing import NamedTuple

HOUR_MS = 3_600_000


class Key(NamedTuple):
    """Whose use of which day. `token` is an ApiToken's id, or NO_TOKEN."""

    owner: int
    day: date
    workspace: str
    token: int


@dataclass(slots=True)
class Amounts:
    """So much was used. None: nobody metered it."""

    storage_byte_ms: int | None = None  # the other fields are columns of DailyUsage, too
    jobs: int = 0
    awake_ms: int = 0
    asleep_ms: int = 0
    cpu_ms: int | None = None
    memory_mb_s: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None

    def add(self, other: Amounts) -> None:
        for name in _NAMES:
            mine, more = getattr(self, name), getattr(other, name)
            if more is not None:
                setattr(self, name, more if mine is None else mine + more)

    @property
    def storage_byte_hours(self) -> int | None:
        return None if self.storage_byte_ms is None else round(self.storage_byte_ms / HOUR_MS)

    @property
    def is_nothing(self) -> bool:
        return not any(getattr(self, name) for name in _NAMES)


_NAMES = tuple(field.name for field in fields(Amounts))
Fact = tuple[Key, Amounts]


def summed(facts: Iterable[Fact]) -> dict[Key, Amounts]:
    """One entry for each key."""
    sums: dict[Key, Amounts] = {}
    for key, amounts in facts:
        if key in sums:
            sums[key].add(amounts)
        else:
            sums[key] = amounts
    return sums
