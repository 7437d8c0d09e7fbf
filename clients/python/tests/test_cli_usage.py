"""`mags usage`, and the call behind it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Command
from fake_server import FakeServer
from pseudo_terminal import Terminal

from mags import Mags

UNMETERED: dict[str, Any] = {
    "cpu_seconds": None, "memory_gb_hours": None, "received_bytes": None, "sent_bytes": None,
}  # fmt: skip
USED = {"vm_seconds": 3725.5, "asleep_seconds": 60.0, "storage_gb_hours": 1.5, **UNMETERED}
NOTHING = {"vm_seconds": 0.0, "asleep_seconds": 0.0, "storage_gb_hours": 0.0, **UNMETERED}


@pytest.fixture(autouse=True)
def used(server: FakeServer) -> None:
    token = {"token_id": 7, "prefix": "mags_ab", **USED, "storage_gb_hours": None}
    server.usage = {
        "first_day": "2026-11-22", "last_day": "2026-11-23", "as_of": "2026-11-23T07:30:00.123Z",
        "total_jobs": 1234, "storage_bytes": 3 << 30, **USED,
        "by_day": [{"day": "2026-11-22", "jobs": 0, **NOTHING}, {"day": "2026-11-23", "jobs": 1234, **USED}],
        "by_workspace": [
            {"workspace": "web", "jobs": 1230, **USED, "storage_bytes": 3 << 30},
            {"workspace": None, "jobs": 4, **NOTHING, "storage_bytes": 0},
        ],
        "workspaces_total": 300,
        "by_token": [
            {**token, "name": "la\x1b[2Jptop", "revoked": True, "jobs": 1200},
            {**token, "token_id": None, "name": None, "prefix": None, "revoked": False, "jobs": 34},
        ],
        "tokens_total": 2, "by_cron": [],
    }  # fmt: skip


def shown(mags: Command, *args: str) -> str:
    with Terminal(mags, "usage", *args, NO_COLOR="1") as terminal:
        return terminal.rest().decode()


def test_terminal_shows_totals_and_a_table(mags: Command) -> None:
    text = shown(mags)
    assert "2026-11-22 to 2026-11-23 (UTC)" in text
    assert "Sandbox time 1 h 2 min awake, 1 min 0 s asleep" in text
    assert "3.0 GB now, over time 1.50 GB-hours" in text
    assert "(no workspace)" in text
    assert "The 2 most used of 300." in text


def test_what_is_not_metered_is_said_and_never_zero(mags: Command) -> None:
    lines = [line.split(maxsplit=1) for line in shown(mags).splitlines()]
    said = {line[0]: line[1] for line in lines if len(line) > 1}
    assert {said["Memory"], said["Traffic"]} == {"not metered yet"}
    assert said["CPU"] == "time     not metered yet"


def test_tokens_are_text(mags: Command) -> None:
    text = shown(mags, "--by", "token")
    assert "la\\x1b[2Jptop (revoked)" in text
    assert "(browser)" in text


def test_days_without_use_are_left_out(mags: Command) -> None:
    rows = [line for line in shown(mags, "--by", "day").splitlines() if line.startswith("2026")]
    assert [row.split()[:2] for row in rows] == [["2026-11-23", "1,234"]]


def test_piped_is_columns_and_tabs(mags: Command) -> None:
    heading, *rows = mags("usage", "--by", "day").stdout.decode().splitlines()
    assert heading.split("\t")[:4] == ["DAY", "JOBS", "VM_SECONDS", "ASLEEP_SECONDS"]
    assert rows == [
        "2026-11-22\t0\t0.0\t0.0\t\t\t0.0\t\t",
        "2026-11-23\t1234\t3725.5\t60.0\t\t\t1.5\t\t",
    ]


def test_json_is_the_answer(mags: Command, server: FakeServer) -> None:
    answer = json.loads(mags("usage", "--days", "7", "--json").stdout)
    assert answer == {**server.usage, "window_days": 7}


@pytest.mark.parametrize("args", [["--days", "0"], ["--days", "367"], ["--by", "month"]])
def test_bad_flags_are_refused_before_any_request(mags: Command, server: FakeServer, args: list[str]) -> None:
    assert mags("usage", *args).returncode == 2
    assert not server.requests


def test_client_asks_for_thirty_days(client: Mags) -> None:
    assert client.usage()["window_days"] == 30
    assert client.usage(window_days=7)["total_jobs"] == 1234
