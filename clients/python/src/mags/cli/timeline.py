"""What happened to a job and its sandbox, a line for each event."""

from __future__ import annotations

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
    "retrying": "yellow",
    "save_failing": "red",
}
STAGES = ("queued", "assigned", "restored", "started", "ms")  # ms, though their names do not say so


def of(answer: EventList) -> str:
    """What `mags status` prints below the card."""
    shown = answer["events"]
    if not shown:
        return ""
    earlier = answer["total"] - len(shown)
    more = [click.style(f"  ... {earlier} earlier; --events shows more", dim=True)] if earlier else []
    return "\n".join([*more, *(_line(event) for event in shown)])


def _line(event: Event) -> str:
    kind = event["kind"]
    words = click.style(printable(WORDS.get(kind, kind.replace("_", " "))), fg=COLOURS.get(kind))
    details = ", ".join(_parts(event["detail"]))
    at = click.style(clock(event["at"]), dim=True)
    return f"  {at}  {words}" + (f"  {click.style(printable(details), dim=True)}" if details else "")


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
