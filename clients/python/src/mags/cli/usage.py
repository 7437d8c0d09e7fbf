"""`mags usage`"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from mags.cli.connect import connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mags.cli.table import Cell

MOST_DAYS = 366
GROUPS = ("day", "workspace", "token")
HEADINGS = (
    "JOBS", "VM_SECONDS", "ASLEEP_SECONDS", "CPU_SECONDS", "MEMORY_GB_HOURS", "STORAGE_GB_HOURS",
    "RECEIVED_BYTES", "SENT_BYTES",
)  # fmt: skip
NOT_METERED = "not metered yet"
OUTSIDE = {"day": "", "workspace": "(no workspace)", "token": "(browser)"}


@click.command(short_help="Show what you used.")
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=30, show_default=True, metavar="N",
    help="The last N days (UTC), today included.",
)  # fmt: skip
@click.option(
    "--by", type=click.Choice(GROUPS), default="workspace", show_default=True, help="What to list it by."
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def usage(days: int, by: str, *, as_json: bool) -> None:
    """Show jobs, sandbox time and storage of the last days. Piped, the rows are separated by tabs.

    Time counts while a sandbox is there and awake; asleep is counted apart.
    """
    answer: Mapping[str, Any] = connect().usage(window_days=days)
    if as_json:
        click.echo(json.dumps(answer))
    elif sys.stdout.isatty():
        _show(answer, by)
    else:
        _print_tabs(answer, by)


def _print_tabs(answer: Mapping[str, Any], by: str) -> None:
    from mags.cli import table

    rows = [[_name(row, by), *(row[name.lower()] for name in HEADINGS)] for row in answer[f"by_{by}"]]
    click.echo(table.tabbed([by.upper(), *HEADINGS], rows), nl=False)


def _show(answer: Mapping[str, Any], by: str) -> None:
    from mags.cli import table
    from mags.cli.table import Column

    for label, text in _totals(answer):
        click.echo(f"{click.style(f'{label:<13}', dim=True)}{text}")
    rows = [row for row in answer[f"by_{by}"] if by != "day" or _is_used(row)]
    if not rows:
        return
    click.echo()
    columns = [Column(by.capitalize()), *(Column(name, "right") for name in ("Jobs", "Awake", "Asleep"))]
    if by != "token":  # storage is a workspace's
        columns.append(Column("Storage", "right"))
    table.draw(columns, [_cells(row, by) for row in rows], below=_left_out(answer, by))


def _totals(answer: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    from mags.cli import human

    received, sent = answer["received_bytes"], answer["sent_bytes"]
    is_metered = received is not None or sent is not None
    traffic = f"{human.size(received or 0)} in, {human.size(sent or 0)} out" if is_metered else NOT_METERED
    return (
        ("Days", f"{answer['first_day']} to {answer['last_day']} (UTC)"),
        ("Jobs", f"{answer['total_jobs']:,}"),
        ("Sandbox time", f"{_time(answer['vm_seconds'])} awake, {_time(answer['asleep_seconds'])} asleep"),
        ("CPU time", _time(answer["cpu_seconds"])),
        ("Memory", _gb_hours(answer["memory_gb_hours"])),
        (
            "Storage",
            f"{human.size(answer['storage_bytes'])} now, over time {_gb_hours(answer['storage_gb_hours'])}",
        ),
        ("Traffic", traffic),
    )


def _cells(row: Mapping[str, Any], by: str) -> list[Cell]:
    from mags.cli.table import Cell

    cells = [
        Cell(_name(row, by)), Cell(f"{row['jobs']:,}"), Cell(_time(row["vm_seconds"])),
        Cell(_time(row["asleep_seconds"])),
    ]  # fmt: skip
    return cells if by == "token" else [*cells, Cell(_gb_hours(row["storage_gb_hours"]))]


def _name(row: Mapping[str, Any], by: str) -> str:
    if by != "token":
        return row[by] or OUTSIDE[by]
    return f"{row['name']}{' (revoked)' if row['revoked'] else ''}" if row["name"] else OUTSIDE[by]


def _is_used(row: Mapping[str, Any]) -> bool:
    return any(row[name.lower()] for name in HEADINGS)


def _left_out(answer: Mapping[str, Any], by: str) -> str:
    total = answer.get(f"{by}s_total") or 0
    shown = len(answer[f"by_{by}"])
    return f"The {shown} most used of {total}." if shown < total else ""


def _time(seconds: float | None) -> str:
    from mags.cli import human

    if seconds is None:
        return NOT_METERED
    return human.duration(round(seconds * 1000)) if seconds else "0 s"


def _gb_hours(count: float | None) -> str:
    return NOT_METERED if count is None else f"{count:,.2f} GB-hours"
