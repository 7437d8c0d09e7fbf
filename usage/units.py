"""Amounts in the units that people read. None stays None: not metered."""

from __future__ import annotations

from usage.amounts import HOUR_MS

GIB = 1 << 30


def seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def gb_hours(byte_ms: int | None) -> float | None:
    """GB are powers of 1024, as everywhere in Mags."""
    return None if byte_ms is None else round(byte_ms / GIB / HOUR_MS, 6)


def memory_gb_hours(mb_s: int | None) -> float | None:
    return None if mb_s is None else round(mb_s / 1024 / 3600, 6)
