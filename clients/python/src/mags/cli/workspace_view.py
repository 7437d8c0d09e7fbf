"""Workspaces, versions, differences and receipts in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from mags.cli import card as cards
from mags.cli import human, table
from mags.cli.table import Cell, Column
from mags.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mags.types import Diff, Receipt, Version, VersionList, Workspace, WorkspaceList

HEADINGS = (
    "NAME",
    "VERSION",
    "VERSIONS",
    "SIZE_BYTES",
    "STORED_BYTES",
    "DISK_GB",
    "DURABLE_AT",
    "USED_AT",
    "ACTIVE_JOB",
    "DAMAGED",
)
VERSION_HEADINGS = (
    "VERSION",
    "REASON",
    "SIZE_BYTES",
    "STORED_BYTES",
    "MADE_AT",
    "DURABLE_AT",
    "SHA256",
    "DAMAGED",
)
MARKS: tuple[tuple[Literal["added", "changed", "removed"], str, str], ...] = (
    ("added", "+", "green"),
    ("changed", "~", "yellow"),
    ("removed", "-", "red"),
)


def receipt(saved: Receipt, took_ms: int) -> str:
    """What `mags sync` prints."""
    title = (
        f"{cards.DOT} {printable(saved['workspace_id'])} is saved as version {printable(saved['version'])}"
    )
    rows = [
        ("sha256", printable(saved["sha256"])),
        ("bytes", _exact(saved["bytes"])),
        ("durable", human.moment(saved["synced_at"])),
        ("took", human.duration(took_ms)),
    ]
    return cards.lines(click.style(title, fg="green", bold=True), rows)


def card(found: Workspace) -> str:
    """What `mags workspace show` prints."""
    word, colour = state(found)
    head = f", version {printable(found['version'])}" if found.get("version") else ""
    rows = [
        ("name", printable(found["name"])),
        ("files", human.size(found.get("size_bytes"))),
        ("disk", f"{printable(found['disk_gb'])} GB"),
        ("stored", _stored(found)),
        ("durable", human.moment(found.get("durable_at"))),
        ("image", printable(found.get("image") or "")),
        ("host", printable(found.get("host") or "")),
        ("in use by", printable(found.get("active_job") or "")),
        ("created", human.moment(found.get("created_at"))),
        ("used", human.moment(found.get("used_at"))),
    ]
    title = click.style(f"{cards.DOT} {word}{head}", fg=colour, bold=True)
    return cards.lines("\n".join([title, *_damage(found)]), rows)


def _damage(found: Workspace) -> Iterator[str]:
    damage = found.get("damaged")
    if not damage:
        return
    yield f"  {printable(damage['message'])}"
    good = damage.get("last_good_version")
    if good:
        name = printable(found["name"])
        yield f"  Go back to the last good version: mags workspace restore {name} {printable(good)}"


def state(found: Workspace) -> tuple[str, str]:
    """How safe the files are, in a word and the colour that it has everywhere."""
    if found.get("damaged"):
        return "damaged", "red"
    if found.get("durable_at"):
        return "saved", "green"
    return "not saved yet" if found.get("is_saved") else "not saved", "yellow"


def extent(found: Workspace) -> str:
    """How much there is to lose."""
    versions = _count(found["versions"], "version") if found["versions"] else "never saved"
    what = [part for part in (human.size(found.get("size_bytes")), versions) if part]
    return f"{printable(found['name'])} ({', '.join(what)})"


def tabbed(workspaces: Sequence[Workspace]) -> str:
    keys = [heading.lower() for heading in HEADINGS[:-1]]
    rows = ([*(one.get(key) for key in keys), _yes(one.get("damaged"))] for one in workspaces)
    return table.tabbed(HEADINGS, rows)


def show(answer: WorkspaceList) -> None:
    columns = [
        Column("Name"),
        Column("Files", "right"),
        Column("Disk", "right"),
        Column("Version", "right"),
        Column("Stored", "right"),
        Column("Durable"),
        Column("Used"),
    ]
    rows = [_row(one) for one in answer["workspaces"]]
    below = table.next_page(
        "mags workspace list", len(rows), answer["page"], answer["page_size"], answer["total"]
    )
    table.draw(columns, rows, below=below)


def _row(one: Workspace) -> list[Cell]:
    word, colour = state(one)
    is_sound = word == "saved"
    return [
        Cell(one["name"]),
        Cell(human.size(one.get("size_bytes"))),
        Cell(f"{one['disk_gb']} GB"),
        Cell(one.get("version")),
        Cell(human.size(one.get("stored_bytes")) if one.get("is_saved") else ""),
        Cell(f"{cards.DOT} {human.ago(one.get('durable_at')) if is_sound else word}", colour),
        Cell("now", "cyan") if one.get("active_job") else Cell(human.ago(one.get("used_at"))),
    ]


def tabbed_versions(versions: Sequence[Version]) -> str:
    keys = [heading.lower() for heading in VERSION_HEADINGS[:-1]]
    rows = ([*(one.get(key) for key in keys), _yes(one.get("is_damaged"))] for one in versions)
    return table.tabbed(VERSION_HEADINGS, rows)


def show_versions(name: str, answer: VersionList) -> None:
    columns = [
        Column("Version", "right"),
        Column("Reason"),
        Column("Files", "right"),
        Column("Stored", "right"),
        Column("Made"),
        Column("Durable"),
    ]
    rows = [_version_row(one) for one in answer["versions"]]
    command = f"mags workspace versions {printable(name)}"
    below = table.next_page(command, len(rows), answer["page"], answer["page_size"], answer["total"])
    table.draw(columns, rows, below=below)


def _version_row(one: Version) -> list[Cell]:
    durable = human.ago(one.get("durable_at"))
    word, colour = (durable, "green") if durable else ("not yet", "yellow")
    if one.get("is_damaged"):
        word, colour = "damaged", "red"
    return [
        Cell(one["version"], "bold"),
        Cell(one["reason"]),
        Cell(human.size(one.get("size_bytes"))),
        Cell(human.size(one.get("stored_bytes"))),
        Cell(human.ago(one.get("made_at"))),
        Cell(f"{cards.DOT} {word}", colour),
    ]


def difference(answer: Diff) -> Iterator[str]:
    """A line for each path that differs, in the order of paths."""
    marked = [(path, mark, colour) for key, mark, colour in MARKS for path in answer[key]]
    for path, mark, colour in sorted(marked):
        yield click.style(f"{mark} {printable(path)}", fg=colour)


def summary(answer: Diff) -> str:
    totals = answer["totals"]
    counts = [f"{totals[key]} {key}" for key, _, _ in MARKS if totals[key]]
    between = f"between versions {answer['from']} and {answer['to']}"
    if not counts:
        return f"nothing differs {between}"
    rest = "; only a part of them is listed" if answer.get("truncated") else ""
    return f"{', '.join(counts)} {between}{rest}"


def _stored(found: Workspace) -> str:
    if not found.get("versions"):
        return ""
    return f"{human.size(found.get('stored_bytes'))} in {_count(found['versions'], 'version')}"


def _exact(count: int) -> str:
    return f"{count:,}".replace(",", " ") + (f" ({human.size(count)})" if count >= 1024 else "")


def _yes(is_so: object) -> str:
    return "yes" if is_so else ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
