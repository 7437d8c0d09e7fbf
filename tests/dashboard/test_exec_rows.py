"""The table of commands: its words, and who sees it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.exec_rows import ENDS, ORIGINS, exec_row
from execs.models import Exec
from execs.states import ExecEnd, ExecState, Origin
from tests.accounts.factories import browser_of, user
from tests.jobs import factories, held

NOW = timezone.now()


@pytest.mark.parametrize(
    ("fields", "label", "duration"),
    [
        ({"state": ExecState.STARTING}, ("Starting", "waiting"), ""),
        ({"state": ExecState.RUNNING, "started_at": NOW}, ("Running", "running"), ""),
        (
            {"state": ExecState.ENDED, "reason": ExecEnd.EXITED, "exit_code": 0, "started_at": NOW,
             "ended_at": NOW + timedelta(seconds=72)},
            ("Completed", "ok"), "1 min 12 s",
        ),
        ({"state": ExecState.ENDED, "reason": ExecEnd.EXITED, "exit_code": 2}, ("Exited", "bad"), ""),
        ({"state": ExecState.ENDED, "reason": ExecEnd.LOST}, ("Lost", "bad"), ""),
    ],
)  # fmt: skip
def test_words(fields: dict[str, Any], label: tuple[str, str], duration: str) -> None:
    row = exec_row(Exec(**fields))
    assert (row.label, row.tone) == label
    assert row.duration == duration
    assert row.command == "Login shell"


def test_every_origin_and_end_has_words() -> None:
    assert set(ORIGINS) == set(Origin)
    assert set(ENDS) == set(ExecEnd) - {ExecEnd.EXITED}


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_a_jobs_page_lists_what_was_executed_and_nothing_of_others() -> None:
    owner = user()
    agent = factories.Agent()
    mine, theirs = held.idle(agent, owner, "w"), held.idle(agent, user(), "w")
    client = browser_of(owner)
    assert "No command yet" in client.get(f"/jobs/{mine.pk}/").content.decode()
    running = {"origin": Origin.API, "state": ExecState.RUNNING, "started_at": NOW}
    Exec.objects.create(owner=owner, job=mine, command="echo '<b>'", **running)
    Exec.objects.create(owner=theirs.owner, job=theirs, command="echo theirs", **running)
    page = client.get(f"/jobs/{mine.pk}/").content.decode()
    assert "echo &#x27;&lt;b&gt;&#x27;" in page
    assert "theirs" not in page
