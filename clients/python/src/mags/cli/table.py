"""The list of jobs: a table for people, tabs for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mags.cli import card
from mags.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mags.types import Job, JobList

WIDE = 110  # columns of a terminal in which a name and an id fit side by side
COLUMNS = ("ID", "NAME", "STATUS", "REASON", "EXIT", "CREATED", "DURATION_MS")


def tabbed(jobs: Sequence[Job]) -> str:
    lines = ["\t".join(COLUMNS)]
    for job in jobs:
        values = (
            job["request_id"],
            job.get("name"),
            job["status"],
            job.get("reason"),
            job.get("exit_code"),
            job.get("created_at"),
            job.get("script_duration_ms"),
        )
        lines.append("\t".join("" if value is None else printable(value) for value in values))
    return "\n".join(lines) + "\n"


def show(answer: JobList) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    is_wide = console.width >= WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("Name" if is_wide else "Job", no_wrap=True, overflow="ellipsis")
    for heading, side in (("Status", "left"), ("Exit", "right"), ("Age", "right"), ("Took", "right")):
        table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    if is_wide:
        table.add_column("Id", no_wrap=True, style="dim")
    for job in answer["jobs"]:
        word, colour = card.state(job)
        exit_code = job.get("exit_code")
        # Where there is no room for both, what every command takes: the name, else the id.
        name = job.get("name") or ("" if is_wide else job["request_id"])
        cells = [
            Text(printable(name)),
            Text(f"{card.DOT} {printable(word)}", style=colour),
            Text("" if exit_code is None else str(exit_code), style="red" if exit_code else ""),
            Text(card.age(job.get("created_at"))),
            Text(card.duration(job.get("script_duration_ms"))),
        ]
        table.add_row(*cells, *([Text(printable(job["request_id"]))] if is_wide else []))
    console.print(table)
    page, total = answer["page"], answer["total"]
    if total > page * answer["page_size"]:
        shown = len(answer["jobs"])
        console.print(f"{shown} of {total}. The next: mags list --page {page + 1}", style="dim")
