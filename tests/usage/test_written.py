"""Days that are written down: alike when it is repeated, late or disturbed, and kept when rows go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from files.models import Upload
from jobs.models import Job
from sandboxes.services import sandbox_asleep, sandbox_awake
from tests.usage.factories import Load, at
from usage.models import DailyUsage, Progress, SleepSpan, StorageSpan
from usage.report import Report
from usage.selectors import usage_read
from usage.services import sleep_changed, storage_look, usage_write_down
from usage.window import window_of
from workspaces.models import Version
from workspaces.services import workspace_delete

pytestmark = pytest.mark.django_db


class Clock:
    """What time it is for the server."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, text: str) -> datetime:
        now = at(text)
        self._patch.setattr(timezone, "now", lambda: now)
        return now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def rows() -> list[dict[str, Any]]:
    return list(DailyUsage.objects.order_by("day", "workspace", "token_number").values())


def figures() -> list[dict[str, Any]]:
    """Of the rows, without their keys, which are new each time."""
    return [{name: value for name, value in row.items() if name != "id"} for row in rows()]


def read(load: Load, now: datetime, days: int = 10) -> Report:
    return usage_read(load.owner, window_of(days, now))


@pytest.fixture
def busy(load: Load) -> Load:
    """Something on each of three days, and over each midnight."""
    web, token = load.workspace("web"), load.token()
    load.lease(load.job("18 10:00:00", token=token), "18 10:00:00", "18 10:00:30")
    load.lease(load.job("18 23:00:00", token=token), "18 23:00:00", "19 01:00:00")
    box = load.sandbox(web, "19 12:00:00", None)
    load.lease(load.job("19 11:59:00", workspace=web, is_persistent=True), "19 12:00:00", None, sandbox=box)
    load.slept(box, "19 20:00:00", "20 04:00:00")
    StorageSpan.objects.create(
        owner=load.owner, workspace="web", size_bytes=10**9, began_at=at("19 13:00:00")
    )
    return load


def test_answers_are_the_same_before_and_after(busy: Load, clock: Clock) -> None:
    now = clock("21 00:10:00")
    Progress.objects.create(storage_since=at("19 13:00:00"))
    before = read(busy, now)
    assert usage_write_down() == 3  # the 18th, 19th, 20th
    after = read(busy, now)
    assert (after.total, after.days, after.workspaces) == (before.total, before.days, before.workspaces)
    assert [x.amounts for x in after.tokens] == [x.amounts for x in before.tokens]
    assert after.total.awake_ms == (30 + 7200 + 8 * 3600 + 20 * 3600 + 600) * 1000
    assert after.total.asleep_ms == 8 * 3_600_000


def test_repeating_changes_nothing(busy: Load, clock: Clock) -> None:
    clock("21 00:10:00")
    usage_write_down()
    written = figures()
    clock("21 05:00:00")
    assert usage_write_down() == 2  # those that may still change
    usage_write_down()
    assert figures() == written
    assert Progress.objects.get().written_before == at("21 00:00:00").date()


def test_absence_of_days_is_made_up_for(busy: Load, clock: Clock) -> None:
    clock("19 00:10:00")
    usage_write_down()
    now = clock("30 12:00:00")
    live = read(busy, now, days=15)
    assert usage_write_down() == 13  # two that are open, and what was missed
    assert read(busy, now, days=15).days == live.days
    assert {row["day"].day for row in rows()} == {18, *range(19, 30)}


def test_long_absence_is_made_up_for_in_several_runs(busy: Load, clock: Clock) -> None:
    clock("18 12:00:00")
    usage_write_down()
    later = at("18 00:00:00") + timedelta(days=100)
    clock._patch.setattr(timezone, "now", lambda: later)
    runs = []
    while Progress.objects.get().written_before != later.date():
        runs.append(usage_write_down())
    assert max(runs) == 31
    assert len(runs) == 4


def test_late_report_still_counts_for_two_days(busy: Load, clock: Clock) -> None:
    clock("21 00:10:00")
    usage_write_down()
    busy.lease(busy.job("20 10:00:00"), "20 10:00:00", "20 11:00:00")  # told by a host that was away
    now = clock("21 01:10:00")
    usage_write_down()
    assert dict(read(busy, now).days)[at("20 00:00:00").date()].jobs == 1


def test_closed_days_stay_when_what_they_were_counted_from_goes(busy: Load, clock: Clock) -> None:
    clock("23 00:10:00")
    usage_write_down()
    kept = [row for row in figures() if row["day"].day < 21]
    Job.objects.all().delete()
    now = clock("23 08:00:00")
    assert usage_write_down() == 2
    assert [row for row in figures() if row["day"].day < 21] == kept
    assert read(busy, now).total.jobs == 3


def test_deleted_token_keeps_its_number(busy: Load, clock: Clock) -> None:
    now = clock("23 00:10:00")
    usage_write_down()
    used = [x.number for x in read(busy, now).tokens if x.token is not None]
    busy.owner.api_tokens.all().delete()
    assert [x.number for x in read(busy, now).tokens if x.number and x.token is None] == used


def test_spans_that_no_open_day_needs_are_forgotten(busy: Load, clock: Clock) -> None:
    open_span = SleepSpan.objects.create(
        sandbox=busy.sandbox(None, "21 00:00:00", None), began_at=at("21 01:00:00")
    )
    clock("22 00:10:00")
    usage_write_down()  # the 20th and the 21st stay open
    assert SleepSpan.objects.count() == 2
    clock("23 00:10:00")
    usage_write_down()
    assert list(SleepSpan.objects.all()) == [open_span]
    assert StorageSpan.objects.count() == 1  # it lasts


def test_nothing_yet(load: Load, clock: Clock) -> None:
    now = clock("21 12:00:00")
    assert usage_write_down() == 0
    assert Progress.objects.get().written_before == now.date()
    assert read(load, now).total.jobs == 0


def test_sleep_is_noted_as_the_host_tells_it(load: Load, clock: Clock) -> None:
    box = load.sandbox(None, "20 10:00:00", None)
    clock("20 11:00:00")
    assert sandbox_asleep(box, at("20 09:00:00"))  # by a clock that is behind: not before it was up
    assert not sandbox_asleep(box, at("20 10:59:00"))
    clock("20 12:00:00")
    assert sandbox_awake(box)
    assert not sandbox_awake(box)
    clock("20 13:00:00")
    assert sandbox_asleep(box, at("20 12:30:00"))
    assert list(SleepSpan.objects.order_by("pk").values_list("began_at", "ended_at")) == [
        (at("20 10:00:00"), at("20 12:00:00")),
        (at("20 12:30:00"), None),
    ]


def test_wake_that_nobody_saw_begin_is_nothing(load: Load) -> None:
    sleep_changed(load.sandbox(None, "20 10:00:00", None))
    assert not SleepSpan.objects.exists()


class TestStorage:
    @pytest.fixture
    def stored(self, load: Load) -> Load:
        web = load.workspace("web")
        for number, size in ((1, 1000), (2, 500)):
            Version.objects.create(
                workspace=web, number=number, manifest="0" * 64, reason="sync", raw_bytes=1,
                stored_bytes=size, tree_bytes=1, made_at=at("20 01:00:00"),
            )  # fmt: skip
        Upload.objects.create(
            owner=load.owner, name="a", size_bytes=7, sha256="0" * 64, expires_at=at("29 00:00:00")
        )
        load.workspace("empty")
        return load

    def test_look_notes_what_changed(self, stored: Load, clock: Clock) -> None:
        clock("20 10:00:00")
        assert storage_look() == 2
        clock("20 11:00:00")
        assert storage_look() == 0
        Version.objects.filter(number=2).delete()
        clock("20 12:00:00")
        assert storage_look() == 2  # one over, one begun
        workspace_delete(stored.owner.workspaces.get(name="web"))
        clock("20 13:00:00")
        assert storage_look() == 1
        spans = StorageSpan.objects.order_by("began_at", "workspace")
        assert list(spans.values_list("workspace", "size_bytes", "began_at", "ended_at")) == [
            ("", 7, at("20 10:00:00"), None),
            ("web", 1500, at("20 10:00:00"), at("20 12:00:00")),
            ("web", 1000, at("20 12:00:00"), at("20 13:00:00")),
        ]

    def test_days_before_the_first_look_are_not_metered(self, stored: Load, clock: Clock) -> None:
        clock("20 10:00:00")
        storage_look()
        now = clock("21 12:00:00")
        Upload.objects.all().delete()
        report = read(stored, now, days=3)
        assert [a.storage_byte_hours for _, a in report.days] == [None, 1507 * 14, 1507 * 12]
        assert report.storage_bytes == 1500

    def test_nothing_stored_is_zero_once_somebody_looked(self, load: Load, clock: Clock) -> None:
        load.job("20 09:00:00")
        now = clock("20 10:00:00")
        assert read(load, now, days=1).total.storage_byte_ms is None
        storage_look()
        assert read(load, now, days=1).total.storage_byte_ms == 0
