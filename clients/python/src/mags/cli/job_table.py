"""The list of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mags.cli import card, human, table
from mags.cli.table import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mags.types import Job, JobList

WIDE = 110  # columns of a terminal in which a name and an id fit side by side
HEADINGS = ("ID", "NAME", "STATUS", "REASON", "EXIT", "CREATED", "DURATION_MS", "SANDBOX")


def tabbed(jobs: Sequence[Job]) -> str:
    return table.tabbed(
        HEADINGS,
        (
            (
                job["request_id"],
                job.get("name"),
                job["status"],
                job.get("reason"),
                job.get("exit_code"),
                job.get("created_at"),
                job.get("script_duration_ms"),
                job.get("sandbox"),
            )
            for job in jobs
        ),
    )


def show(answer: JobList) -> None:
    is_wide = table.is_wide(WIDE)
    columns = [
        Column("Name" if is_wide else "Job"),
        Column("Status"),
        Column("Exit", "right"),
        Column("Age", "right"),
        Column("Took", "right"),
    ]
    if is_wide:
        columns.append(Column("Id", style="dim"))
    rows = [_row(job, is_wide=is_wide) for job in answer["jobs"]]
    below = table.next_page("mags list", len(rows), answer["page"], answer["page_size"], answer["total"])
    table.draw(columns, rows, below=below)


def _row(job: Job, *, is_wide: bool) -> list[Cell]:
    word, colour = card.state(job)
    exit_code = job.get("exit_code")
    # Where there is no room for both, what every command takes: the name, else the id.
    name = job.get("name") or ("" if is_wide else job["request_id"])
    cells = [
        Cell(name),
        Cell(f"{card.DOT} {word}", colour),
        Cell(exit_code, "red" if exit_code else ""),
        Cell(human.age(job.get("created_at"))),
        Cell(human.duration(job.get("script_duration_ms"))),
    ]
    return [*cells, Cell(job["request_id"])] if is_wide else cells
