"""The figures, compared with what a hand adds up."""

from __future__ import annotations

from datetime import date

import pytest

from accounts.models import ApiToken
from accounts.services import token_revoke
from tests.accounts.factories import user
from tests.usage.factories import Load, at
from usage.amounts import Amounts
from usage.models import StorageSpan
from usage.report import Report
from usage.selectors import usage_read
from usage.window import Window, window_of
from workspaces.services import workspace_delete

pytestmark = pytest.mark.django_db
NOW = "23 06:00:00"
HOUR = 3_600_000


def read(load: Load, days: int = 3, now: str = NOW) -> Report:
    return usage_read(load.owner, window_of(days, at(now)))


def by_day(report: Report) -> dict[int, tuple[int, int, int]]:
    """Jobs, ms awake and ms asleep, by the day of the month; days without any left out."""
    found = {day.day: (a.jobs, a.awake_ms, a.asleep_ms) for day, a in report.days}
    return {day: used for day, used in found.items() if any(used)}


@pytest.fixture
def mixed(load: Load) -> dict[str, ApiToken]:
    """Three days of everything; the comments are what a hand adds up, in seconds."""
    laptop, ci = load.token("laptop"), load.token("ci")
    # Ephemeral: 10.5 on the 21st; over midnight 10 on the 21st and 20.25 on the 22nd.
    load.lease(load.job("21 10:00:00", token=laptop), "21 10:00:01.250", "21 10:00:11.750")
    load.lease(load.job("21 23:59:49", token=laptop), "21 23:59:50", "22 00:00:20.250")
    # Tried three times, of which the second never started: 5 + 7 on the 22nd, one job.
    retried = load.job("22 08:00:00", token=ci, retries=2)
    load.lease(retried, "22 08:00:01", "22 08:00:06")
    load.lease(retried, None, "22 08:00:07")
    load.lease(retried, "22 08:00:08", "22 08:00:15")
    # Still running since 05:59:30 on the 23rd: 30. Submitted in the browser; one more waits.
    load.lease(load.job("23 05:59:29"), "23 05:59:30", None)
    load.job("23 05:59:40")
    # Kept: up from 22:00 on the 21st to 02:00 on the 23rd, asleep from 23:00 on the 21st to 01:00 on the
    # 22nd and from 01:00 on the 23rd to its end. Awake 1 h, 23 h, 1 h; asleep 1 h, 1 h, 1 h.
    web = load.workspace("web")
    job = load.job("21 21:59:00", token=ci, workspace=web, is_persistent=True)
    box = load.sandbox(web, "21 22:00:00", "23 02:00:00", created="21 21:59:00")
    load.lease(job, "21 22:00:01", "21 22:00:02", sandbox=box)  # in a sandbox that counts by itself
    load.slept(box, "21 23:00:00", "22 01:00:00")
    load.slept(box, "23 01:00:00", None)
    # Its successor was made without a script, and sleeps now: awake 0.5 h, asleep 2.5 h.
    box = load.sandbox(web, "23 03:00:00", None)
    load.slept(box, "23 03:30:00", None)
    # In a workspace that was deleted: 60 on the 22nd.
    old = load.workspace("old")
    job = load.job("22 12:00:00", token=laptop, workspace=old)
    box = load.sandbox(old, "22 12:00:00", "22 12:01:00")
    load.lease(job, "22 12:00:01", "22 12:00:59", sandbox=box)
    workspace_delete(old)
    token_revoke(load.owner, ci.pk)
    # Before the window, after it, never up, and somebody else's.
    load.lease(load.job("20 10:00:00"), "20 10:00:00", "20 23:59:59.999")
    load.sandbox(None, None, "22 10:00:00", created="22 09:00:00")
    Load(user()).lease(Load(user()).job("22 10:00:00"), "22 10:00:00", "22 11:00:00")
    return {"laptop": laptop, "ci": ci}


@pytest.mark.usefixtures("mixed")
def test_days_are_what_a_hand_adds_up(load: Load) -> None:
    report = read(load)
    assert by_day(report) == {
        21: (3, 10_500 + 10_000 + 1 * HOUR, 1 * HOUR),
        22: (2, 20_250 + 12_000 + 23 * HOUR + 60_000, 1 * HOUR),
        23: (2, 30_000 + 1 * HOUR + HOUR // 2, 1 * HOUR + HOUR * 5 // 2),
    }
    assert [day.day for day, _ in report.days] == [21, 22, 23]
    assert report.total.jobs == 7
    assert report.total.awake_ms == sum(a.awake_ms for _, a in report.days)


@pytest.mark.usefixtures("mixed")
def test_workspaces_are_known_by_name_also_when_deleted(load: Load) -> None:
    found = {name: (a.jobs, a.awake_ms, a.asleep_ms) for name, a in read(load).workspaces}
    assert found == {
        "web": (1, 25 * HOUR + HOUR // 2, 3 * HOUR + HOUR * 5 // 2),
        "old": (1, 60_000, 0),
        "": (5, 10_500 + 30_250 + 12_000 + 30_000, 0),
    }
    assert next(name for name, _ in read(load).workspaces) == "web"  # the most used first


def test_tokens_keep_what_they_used_when_revoked(load: Load, mixed: dict[str, ApiToken]) -> None:
    laptop, ci = mixed["laptop"], mixed["ci"]
    found = {x.number: (x.amounts.jobs, x.amounts.awake_ms, x.amounts.asleep_ms) for x in read(load).tokens}
    assert found == {
        ci.pk: (2, 12_000 + 25 * HOUR + HOUR // 2, 3 * HOUR + HOUR * 5 // 2),
        laptop.pk: (3, 10_500 + 30_250 + 60_000, 0),
        0: (2, 30_000, 0),
    }
    revoked = next(x.token for x in read(load).tokens if x.number == ci.pk)
    assert revoked is not None
    assert revoked.revoked_at is not None


@pytest.mark.usefixtures("mixed")
def test_what_nobody_meters_is_not_zero(load: Load) -> None:
    total = read(load).total
    assert total == Amounts(jobs=7, awake_ms=total.awake_ms, asleep_ms=total.asleep_ms)


@pytest.mark.parametrize(
    ("started", "ended", "expected"),
    [
        ("22 00:00:00", "22 00:00:00.001", {22: 1}),
        ("21 23:59:59.999", "22 00:00:00", {21: 1}),
        ("21 23:59:59.999", "22 00:00:00.001", {21: 1, 22: 1}),
        ("21 00:00:00", "22 00:00:00", {21: 24 * HOUR}),
        ("21 00:00:00.000900", "21 00:00:00.001100", {21: 1}),
        ("21 00:00:00.000100", "21 00:00:00.000900", {}),
        ("20 23:59:59", "24 01:00:00", {21: 24 * HOUR, 22: 24 * HOUR, 23: 24 * HOUR}),
    ],
)
def test_days_begin_at_midnight_utc(load: Load, started: str, ended: str, expected: dict[int, int]) -> None:
    load.lease(load.job("19 10:00:00"), started, ended)
    report = read(load, now="23 23:59:59.999999")
    assert {day: used[1] for day, used in by_day(report).items()} == expected


def test_clock_that_was_behind_makes_nothing_negative(load: Load) -> None:
    load.lease(load.job("23 05:00:00"), "23 07:00:00", None)  # in an hour
    assert by_day(read(load)) == {23: (1, 0, 0)}


def test_storage_is_bytes_times_time(load: Load) -> None:
    gib = 1 << 30
    spans = [("web", gib, "21 12:00:00", "22 06:00:00"), ("web", 2 * gib, "22 06:00:00", None)]
    for workspace, size, began, ended in [*spans, ("", 1 << 50, "22 00:00:00", "22 01:00:00")]:
        StorageSpan.objects.create(
            owner=load.owner, workspace=workspace, size_bytes=size, began_at=at(began),
            ended_at=at(ended) if ended else None,
        )  # fmt: skip
    report = read(load)
    hours = {day.day: (a.storage_byte_ms or 0) / gib / HOUR for day, a in report.days}
    assert hours == {21: 12, 22: 6 + 2 * 18 + (1 << 20), 23: 2 * 6}
    assert report.tokens == []


def test_window_is_whole_days() -> None:
    window = window_of(7, at(NOW))
    assert window == Window(date(2026, 11, 17), date(2026, 11, 23), at(NOW))
    assert list(window.days())[::6] == [date(2026, 11, 17), date(2026, 11, 23)]
