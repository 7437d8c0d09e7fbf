"""The history of a job and its sandbox, as the page says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard import timeline
from jobs.models import Job, JobEvent
from sandboxes.states import SandboxEnd

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def moment(kind: str, after_s: float = 1, **detail: Any) -> timeline.Moment:
    event = JobEvent(pk=1, kind=kind, at=NOW + timedelta(seconds=after_s), detail=detail)
    [found] = timeline.timeline(Job(created_at=NOW), [event])
    return found


@pytest.mark.parametrize(
    ("kind", "detail", "label", "sentence"),
    [
        ("url_opened", {"url_port": 8000}, "URL leads to port 8000", ""),
        ("finished", {"reason": None, "exit_code": 3}, "Exited with code 3", ""),
        ("woke", {"cause": "connection", "ms": 38}, "Woke in 38 ms", "By a connection."),
        ("waking", {"cause": "ssh"}, "Waking, for SSH", ""),
        (
            "recovering", {"reason": "lost", "host": "b"},
            "Lost on b: a new sandbox is made", "Its host went away, or lost it.",
        ),
        ("recovered", {"ms": 2300}, "Recovered in 2.3 s", ""),
        (
            "startup_exited", {"exit_code": 1, "again_s": 2.0},
            "Start-up command exited with code 1", "It runs again in 2.0 s.",
        ),
        ("never_heard_of", {}, "Never heard of", ""),
    ],
)  # fmt: skip
def test_words(kind: str, detail: dict[str, Any], label: str, sentence: str) -> None:
    found = moment(kind, **detail)
    assert (found.label, found.detail) == (label, sentence)


def test_why_it_slept_is_shown() -> None:
    evidence = {
        "idle_ms": 600_000, "cpu_ms": 90, "window_ms": 60_000, "connections": 0, "execs": 0, "runs": "many",
    }  # fmt: skip
    assert moment("slept", evidence=evidence).evidence == [
        ("Idle for", "10 min 0 s"), ("CPU", "0.1 %"), ("Connections", "0"), ("Commands", "0"),
    ]  # fmt: skip


def test_stages_make_a_bar() -> None:
    found = moment("up", stages={"assigned": 4, "restored": 80, "started": 31})
    assert [(stage.name, stage.text) for stage in found.stages] == [
        ("assigned", "4 ms"), ("restored", "80 ms"), ("started", "31 ms"),
    ]  # fmt: skip


def test_only_the_first_minute_counts_from_the_submit() -> None:
    assert moment("started", 0.085).after == "+85 ms"
    assert moment("woke", 3600).after == ""


def test_saves_in_a_row_are_one_line() -> None:
    kinds = ["checkpoint", "checkpoint", "woke", "checkpoint", "submitted"]
    events = [JobEvent(pk=pk, kind=kind, at=NOW) for pk, kind in enumerate(kinds, 1)]
    found = timeline.timeline(Job(created_at=NOW), events)
    assert [moment.label for moment in found] == [
        "Files saved by itself, 2 times", "Woke", "Files saved by itself", "Submitted",
    ]  # fmt: skip


def test_every_end_of_a_sandbox_has_a_sentence() -> None:
    assert set(timeline.ENDS) == set(SandboxEnd)
