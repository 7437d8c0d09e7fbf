"""Amounts as people read them. What was not metered is said to be so."""

from __future__ import annotations

from datetime import date

from dashboard.presentation import duration_text

NOT_METERED = "Not metered yet"
MB_S_OF_AN_HOUR = 1024 * 3600  # of a GB


def day_text(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def hours_text(mb_s: int) -> str:
    hours = mb_s / MB_S_OF_AN_HOUR
    return f"{hours:,.0f} GB-hours" if hours >= 100 else f"{hours:.2f} GB-hours"


def time_text(ms: int | None) -> str:
    if ms is None:
        return NOT_METERED
    return duration_text(ms) if ms else "0 s"
