"""Usage as CSV, for spreadsheets."""

from __future__ import annotations

import csv
from io import StringIO

from usage.report import Line, Report
from usage.units import gb_hours, memory_gb_hours, seconds

HEADINGS = (
    "day", "workspace", "token", "token_id", "jobs", "vm_seconds", "asleep_seconds", "cpu_seconds",
    "memory_gb_hours", "storage_gb_hours", "received_bytes", "sent_bytes",
)  # fmt: skip
# What a spreadsheet may take for a formula (the name of a token is any text).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_text(report: Report) -> str:
    """A line for each day, workspace and token; what was not metered is an empty cell."""
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow(HEADINGS)
    rows.writerows(_cells(line) for line in report.lines())
    return text.getvalue()


def file_name(report: Report) -> str:
    return f"mags-usage-{report.window.first}-{report.window.last}.csv"


def inert(text: str) -> str:
    """The text as a spreadsheet shows it, and does not compute it."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def _cells(line: Line) -> list[object]:
    token, used = line.token, line.token.amounts
    return [
        line.day.isoformat(), inert(line.workspace), inert(token.token.name) if token.token else "",
        token.number or "", used.jobs, seconds(used.awake_ms), seconds(used.asleep_ms), seconds(used.cpu_ms),
        memory_gb_hours(used.memory_mb_s), gb_hours(used.storage_byte_ms), used.received_bytes,
        used.sent_bytes,
    ]  # fmt: skip
