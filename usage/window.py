"""A run of whole days, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """From `first` to `last`, both included. `now` ends what has not ended yet."""

    first: date
    last: date
    now: datetime

    @property
    def begins_at(self) -> datetime:
        return midnight(self.first)

    @property
    def ends_at(self) -> datetime:
        return midnight(self.last + DAY)

    def days(self) -> Iterator[date]:
        day = self.first
        while day <= self.last:
            yield day
            day += DAY

    def since(self, day: date) -> Window | None:
        """What of it is not before `day`."""
        return Window(max(self.first, day), self.last, self.now) if day <= self.last else None


def window_of(days: int, now: datetime) -> Window:
    """The last so many days; the last of them is today."""
    today = now.astimezone(UTC).date()
    return Window(today - (days - 1) * DAY, today, now)


def one_day(day: date, now: datetime) -> Window:
    return Window(day, day, now)


def midnight(day: date) -> datetime:
    """When the day begins."""
    return datetime.combine(day, time.min, UTC)


def split(began: datetime, ended: datetime, window: Window) -> Iterator[tuple[date, int]]:
    """How many milliseconds of a time fall on each day of the window. The days' parts are what the database
    makes of them: both ends in whole milliseconds, rounded down."""
    at, end = max(began, window.begins_at), min(ended, window.ends_at)
    while at < end:
        day = at.astimezone(UTC).date()
        until = min(end, midnight(day + DAY))
        yield day, _ms(until) - _ms(at)
        at = until


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // MILLISECOND


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
