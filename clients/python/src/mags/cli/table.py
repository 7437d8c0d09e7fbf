"""The list of jobs: a table for people, tabs for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mags.cli import card
from mags.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mags.types import Job, JobList

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

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("Name", no_wrap=True, max_width=28, overflow="ellipsis")
    table.add_column("Status", no_wrap=True)
    table.add_column("Exit", justify="right", no_wrap=True)
    table.add_column("Created", no_wrap=True)
    table.add_column("Took", justify="right", no_wrap=True)
    table.add_column("Id", no_wrap=True, min_width=36, style="dim")
    for job in answer["jobs"]:
        word, colour = card.state(job)
        exit_code = job.get("exit_code")
        table.add_row(
            Text(printable(job.get("name") or "-")),
            Text(f"{card.DOT} {printable(word)}", style=colour),
            Text("" if exit_code is None else str(exit_code), style="red" if exit_code else ""),
            Text(card.ago(job.get("created_at"))),
            Text(card.duration(job.get("script_duration_ms"))),
            Text(printable(job["request_id"])),
        )
    console = Console(highlight=False)
    console.print(table)
    shown = len(answer["jobs"])
    if answer["total"] > shown:
        console.print(f"{shown} of {answer['total']}, page {answer['page']}", style="dim")
