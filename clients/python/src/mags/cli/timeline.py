"""What happened to a job and its sandbox, a line for each event."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from mags.cli.human import clock, duration
from mags.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mags.types import Event, EventList

# Kinds that are not here are shown as they are called.
WORDS = {
    "assigned": "given to a host",
    "started": "script started",
    "retrying": "trying again",
    "stop_requested": "asked to stop",
    "finished": "script ended",
    "restored": "files restored",
    "sync_requested": "asked to save",
    "synced": "files saved",
    "saved": "files saved",
    "checkpoint": "files saved by itself",
    "changed": "changed",
    "sandbox_waits": "sandbox waits for a host",
    "sandbox_stopped": "sandbox asked to stop",
    "sandbox_ended": "sandbox ended",
    "url_opened": "URL opened",
    "save_failing": "saving fails",
    "save_works": "saving works again",
    "slept": "went to sleep",
    "woke": "woke up",
    "stopped_idle": "stopped: saved, and ended until somebody comes",
    "waking": "being made anew",
    "up": "up",
    "recovering": "lost: being made anew",
    "recovered": "back",
    "recovery_failed": "cannot come back",
    "startup_started": "start-up command started",
    "startup_exited": "start-up command ended",
}
COLOURS = {
    "slept": "blue",
    "stopped_idle": "blue",
    "woke": "cyan",
    "up": "cyan",
    "recovered": "green",
    "recovering": "yellow",
    "recovery_failed": "red",
    "retrying": "yellow",
    "save_failing": "red",
}
OFTEN = frozenset({"checkpoint"})  # one a minute where something is always written
STAGES = ("queued", "assigned", "restored", "started", "ms")  # ms, though their names do not say so


def of(answer: EventList, count: int) -> str:
    """What `mags status` prints below the card: the last `count` lines, of saves in a row only the last."""
    rows = [list(row) for _, row in groupby(answer["events"], _row_of)][-count:]
    earlier = answer["total"] - sum(map(len, rows))
    more = [click.style(f"  ... {earlier} earlier; --events shows more", dim=True)] if earlier else []
    return "\n".join([*more, *(_line(row[-1], len(row)) for row in rows)])


def _row_of(event: Event) -> object:
    return event["kind"] if event["kind"] in OFTEN else id(event)


def _line(event: Event, times: int) -> str:
    kind = event["kind"]
    words = printable(WORDS.get(kind, kind.replace("_", " "))) + (f", {times} times" if times > 1 else "")
    details = ", ".join(_parts(event["detail"]))
    line = f"  {click.style(clock(event['at']), dim=True)}  {click.style(words, fg=COLOURS.get(kind))}"
    return line + (f"  {click.style(printable(details), dim=True)}" if details else "")


def _parts(detail: Mapping[str, object]) -> Iterator[str]:
    """All that is known, flat, with the units that the names end in."""
    for key, value in detail.items():
        if isinstance(value, dict):
            yield from _parts(value)
        elif value not in (None, ""):
            yield _part(key, value)


def _part(key: str, value: object) -> str:
    name, _, unit = key.rpartition("_")
    if isinstance(value, bool):
        return f"{key.replace('_', ' ')} {'yes' if value else 'no'}"
    if isinstance(value, int | float) and key in STAGES:
        return f"{'took' if key == 'ms' else key} {duration(round(value))}"
    if isinstance(value, int | float) and name and unit in ("ms", "s"):
        return f"{name.replace('_', ' ')} {duration(round(value * (1000 if unit == 's' else 1)))}"
    return f"{key.replace('_', ' ')} {value}"
