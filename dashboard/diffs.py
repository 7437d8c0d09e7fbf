"""How what differs between two versions looks to people. No queries here."""

from __future__ import annotations

from dataclasses import dataclass

from workspaces.services import VersionDiff

SHOWN_LIMIT = 500  # paths of one kind on a page; the filter finds the others
FILTER_FROM = 15  # so few are seen at a glance


@dataclass(frozen=True, slots=True)
class PathGroup:
    """The paths that changed in one way."""

    name: str  # also the address on the page
    title: str
    mark: str
    tone: str
    total: int
    found: int  # of those that are listed, how many the filter lets through
    shown: list[str]

    @property
    def total_text(self) -> str:
        return f"{self.total:,}"

    @property
    def found_text(self) -> str:
        return self.total_text if self.found == self.total else f"{self.found:,} of {self.total_text}"

    @property
    def hidden_text(self) -> str:
        """How many are not on the page; empty where all are."""
        hidden = self.found - len(self.shown)
        return f"{hidden:,}" if hidden else ""


@dataclass(frozen=True, slots=True)
class DiffCard:
    groups: list[PathGroup]
    is_truncated: bool
    is_long: bool
    is_filtered: bool

    @property
    def is_empty(self) -> bool:
        return not any(group.total for group in self.groups)

    @property
    def found(self) -> int:
        return sum(group.found for group in self.groups)


def diff_card(diff: VersionDiff, text: str) -> DiffCard:
    """`text`: only paths that have it in them."""
    kinds = (
        ("added", "Added", "+", "ok", diff.added),
        ("changed", "Changed", "~", "warn", diff.changed),
        ("removed", "Removed", "−", "bad", diff.removed),
    )
    groups = []
    for name, title, mark, tone, kind in kinds:
        paths = [shown for path in kind.listed if text in (shown := printable(path))]
        groups.append(PathGroup(name, title, mark, tone, kind.total, len(paths), paths[:SHOWN_LIMIT]))
    is_long = sum(group.total for group in groups) > FILTER_FROM
    return DiffCard(groups, diff.is_truncated, is_long, bool(text))


def printable(path: str) -> str:
    """The path with everything that is invisible, or turns what is around it, written as escapes."""
    return "".join(char if char.isprintable() else _escaped(char) for char in path)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
