"""Bars by day, as numbers for an SVG: the template draws them, and a table says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from dashboard.presentation import duration_text, size_text
from dashboard.usage_words import day_text, hours_text
from usage.amounts import HOUR_MS, Amounts

# In units of the drawing, which is stretched to the width of its card.
HEIGHT = 100
STEP, WIDTH = 12, 9
LEAST = 1.5  # so that little is not nothing

Read = Callable[[Amounts], int | None]
Words = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart."""

    label: str
    tone: str  # a CSS class
    read: Read


@dataclass(frozen=True, slots=True)
class Kind:
    """What a chart shows, and how its numbers are said."""

    name: str
    title: str
    series: tuple[Series, ...]
    words: Words


@dataclass(frozen=True, slots=True)
class Piece:
    tone: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """`values` are those of the series, in words."""

    day: str
    x: int
    pieces: list[Piece]
    values: list[str]
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    kind: Kind
    bars: list[Bar]
    most: str  # what the height stands for
    totals: list[str]  # of each series
    summary: str

    @property
    def width(self) -> int:
        return len(self.bars) * STEP - (STEP - WIDTH)


def _jobs_text(count: int) -> str:
    return f"{count:,} job" if count == 1 else f"{count:,} jobs"


def _storage(amounts: Amounts) -> int | None:
    return amounts.storage_byte_ms


def _storage_text(byte_ms: int) -> str:
    return f"{size_text(round(byte_ms / HOUR_MS))}-hours"


KINDS = (
    Kind("jobs", "Jobs", (Series("Jobs", "is-main", lambda a: a.jobs),), _jobs_text),
    Kind(
        "time",
        "Sandbox time",
        (
            Series("Awake", "is-main", lambda a: a.awake_ms),
            Series("Asleep", "is-soft", lambda a: a.asleep_ms),
        ),
        duration_text,
    ),
    Kind("storage", "Storage", (Series("Stored", "is-main", _storage),), _storage_text),
    Kind("cpu", "CPU time", (Series("CPU time", "is-main", lambda a: a.cpu_ms),), duration_text),
    Kind("memory", "Memory", (Series("Memory", "is-main", lambda a: a.memory_mb_s),), hours_text),
    Kind(
        "traffic",
        "Traffic",
        (
            Series("In", "is-main", lambda a: a.received_bytes),
            Series("Out", "is-soft", lambda a: a.sent_bytes),
        ),
        size_text,
    ),
)


def charts(total: Amounts, days: Sequence[tuple[date, Amounts]]) -> list[Chart]:
    """Of what was metered at all."""
    return [
        _chart(kind, total, days)
        for kind in KINDS
        if any(series.read(total) is not None for series in kind.series)
    ]


def not_metered(total: Amounts) -> list[str]:
    """The names of the others, for a sentence."""
    return [kind.title for kind in KINDS if all(series.read(total) is None for series in kind.series)]


def _chart(kind: Kind, total: Amounts, days: Sequence[tuple[date, Amounts]]) -> Chart:
    sums = [sum(series.read(amounts) or 0 for series in kind.series) for _, amounts in days]
    most = max(sums, default=0)
    bars = [_bar(kind, number, day, amounts, most) for number, (day, amounts) in enumerate(days)]
    totals = [kind.words(series.read(total) or 0) for series in kind.series]
    peak = f"Most on {day_text(days[sums.index(most)][0])}: {kind.words(most)}." if most else "Nothing."
    return Chart(kind, bars, kind.words(most) if most else "", totals, peak)


def _bar(kind: Kind, number: int, day: date, amounts: Amounts, most: int) -> Bar:
    read = [series.read(amounts) for series in kind.series]
    values = ["not metered" if value is None else kind.words(value) for value in read]
    name = day_text(day)
    said = ", ".join(
        value if len(kind.series) == 1 else f"{value} {series.label.lower()}"
        for series, value in zip(kind.series, values, strict=True)
    )
    return Bar(name, number * STEP, _pieces(kind, read, most), values, f"{name}: {said}")


def _pieces(kind: Kind, values: Sequence[int | None], most: int) -> list[Piece]:
    """From the bottom up."""
    pieces: list[Piece] = []
    top = float(HEIGHT)
    for series, value in zip(kind.series, values, strict=True):
        if value:
            height = max(LEAST, round(HEIGHT * value / most, 2))
            top = max(0.0, top - height)
            pieces.append(Piece(series.tone, round(top, 2), height))
    return pieces
