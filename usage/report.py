"""Facts, added up in the ways that people ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from accounts.models import ApiToken
from usage.amounts import Amounts, Fact, Key, summed
from usage.window import Window

Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """`token` is None where there was none (the browser), or its row was deleted."""

    number: int
    token: ApiToken | None
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Line:
    """The finest grain: one day of one workspace and token."""

    day: date
    workspace: str
    token: TokenUsage


@dataclass(frozen=True, slots=True)
class Report:
    """What an account used. Days are all there, oldest first; the rest is sorted by use, the most first."""

    window: Window
    total: Amounts
    days: list[tuple[date, Amounts]]
    workspaces: list[tuple[str, Amounts]]
    tokens: list[TokenUsage]
    stored: Mapping[str, int]  # bytes now, by workspace
    lines: Callable[[], Iterable[Line]]  # in the order of days

    @property
    def storage_bytes(self) -> int:
        return sum(self.stored.values())


def report_make(
    window: Window,
    facts: Iterable[Fact],
    *,
    tokens: Mapping[int, ApiToken],
    stored: Mapping[str, int],
    storage_since: date | None,
) -> Report:
    """`storage_since` is the first day on which somebody looked at what is stored."""
    sums = summed(facts)
    days = _grouped(sums, lambda key: key.day)
    every_day = [(day, days.get(day, Amounts())) for day in window.days()]
    workspaces = _most_first(_grouped(sums, lambda key: key.workspace))
    if storage_since is not None:
        looked_at = [amounts for day, amounts in every_day if day >= storage_since]
        _nothing_stored(looked_at)
        _nothing_stored([amounts for _, amounts in workspaces] if looked_at else [])
    return Report(
        window,
        _total(every_day),
        every_day,
        workspaces=workspaces,
        tokens=_by_token(sums, tokens),
        stored=stored,
        lines=lambda: _lines(sums, tokens),
    )


def _lines(sums: Mapping[Key, Amounts], tokens: Mapping[int, ApiToken]) -> Iterator[Line]:
    for key in sorted(sums):
        yield Line(key.day, key.workspace, TokenUsage(key.token, tokens.get(key.token), sums[key]))


def _nothing_stored(among: Iterable[Amounts]) -> None:
    """Somebody looked, so where nothing was found there was nothing."""
    for amounts in among:
        if amounts.storage_byte_ms is None:
            amounts.storage_byte_ms = 0


def _total(days: Iterable[tuple[date, Amounts]]) -> Amounts:
    total = Amounts()
    for _, amounts in days:
        total.add(amounts)
    return total


def _by_token(sums: Mapping[Key, Amounts], tokens: Mapping[int, ApiToken]) -> list[TokenUsage]:
    """Without storage, which is a workspace's."""
    groups = _grouped(sums, lambda key: key.token)
    for amounts in groups.values():
        amounts.storage_byte_ms = None
    used = {number: amounts for number, amounts in groups.items() if not amounts.is_nothing}
    return [TokenUsage(number, tokens.get(number), amounts) for number, amounts in _most_first(used)]


def _grouped(sums: Mapping[Key, Amounts], of: Callable[[Key], Group]) -> dict[Group, Amounts]:
    groups: defaultdict[Group, Amounts] = defaultdict(Amounts)
    for key, amounts in sums.items():
        groups[of(key)].add(amounts)
    return dict(groups)


def _most_first(groups: Mapping[Group, Amounts]) -> list[tuple[Group, Amounts]]:
    def use(found: tuple[Group, Amounts]) -> tuple[int, int, str]:
        name, amounts = found
        return -amounts.awake_ms, -amounts.jobs, str(name)

    return sorted(groups.items(), key=use)
