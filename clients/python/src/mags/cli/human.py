"""Times, durations and sizes as people read them."""

from __future__ import annotations

from datetime import datetime, timezone

import click

from mags.cli.terminal import printable


def moment(stamp: str | None) -> str:
    """A time to the second in the zone of this machine, and how long ago it was."""
    if not stamp:
        return ""
    at = _parsed(stamp)
    if at is None:
        return printable(stamp)
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}  {click.style(ago(stamp), dim=True)}"


def clock(stamp: str) -> str:
    """The time of day to the ms in the zone of this machine; with its day, unless that is today."""
    at = _parsed(stamp)
    if at is None:
        return printable(stamp)
    local = at.astimezone()
    is_today = local.date() == datetime.now(timezone.utc).astimezone().date()
    return f"{'' if is_today else f'{local:%Y-%m-%d} '}{local:%H:%M:%S}.{local.microsecond // 1000:03}"


def _parsed(stamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return None


def ago(stamp: str | None) -> str:
    """A time as people say it: `3 min ago`."""
    found = age(stamp)
    return f"{found} ago" if found else ""


def age(stamp: str | None) -> str:
    at = _parsed(stamp) if stamp else None
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


def size(count: int | None) -> str:
    """Bytes in powers of 1024, as the dashboard shows them: `512 B`, `1.4 KB`, `12 MB`."""
    if count is None:
        return ""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1024
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
