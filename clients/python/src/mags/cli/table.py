"""Lists: tables for people, tabs for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mags.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal


DEFAULT_LIMIT = 20  # rows of a page


class Column(NamedTuple):
    heading: str
    side: Literal["left", "right"] = "left"
    style: str = ""


class Cell(NamedTuple):
    value: object
    style: str = ""

    def text(self) -> str:
        return "" if self.value is None else printable(self.value)


def tabbed(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["\t".join(headings)]
    lines += ["\t".join(Cell(value).text() for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def draw(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], *, below: str = "") -> None:
    """Print a table at most as wide as the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        # rich narrows what may wrap first: the names. Their own no_wrap, below, then cuts them.
        table.add_column(column.heading, justify=column.side, style=column.style, no_wrap=number > 0)
    for row in rows:
        table.add_row(*(Text(cell.text(), cell.style, no_wrap=True, overflow="ellipsis") for cell in row))
    console.print(table)
    if below:
        console.print(below, style="dim", markup=False)


def is_wide(columns: int) -> bool:
    """Whether the terminal has so many columns."""
    from rich.console import Console

    return Console().width >= columns


def next_page(command: str, shown: int, page: int, page_size: int, total: int) -> str:
    """What to say below a list that goes on."""
    if total <= page * page_size:
        return ""
    limit = "" if page_size == DEFAULT_LIMIT else f" -n {page_size}"
    return f"{shown} of {total}. The next: {command} --page {page + 1}{limit}"
