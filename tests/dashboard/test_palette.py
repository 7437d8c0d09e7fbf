"""What the command palette finds, and for whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.accounts.factories import user
from tests.jobs import factories, held
from tests.jobs.factories import Agent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def found(owner: User, text: str = "") -> dict[str, list[dict[str, Any]]]:
    """Titles of groups, and what is in them."""
    client = Client()
    client.force_login(owner)
    answer = client.get("/palette/", {"q": text})
    assert answer.status_code == 200
    return {group["title"]: group["entries"] for group in answer.json()["groups"]}


def labels(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["label"] for entry in entries]


def test_each_kind_is_found_by_name() -> None:
    owner, agent = user(), Agent()
    kept = held.idle(agent, owner, "shop", name="shop-server")
    held.job(owner, "other")
    groups = found(owner, "SHO")
    assert groups["Jobs"] == [{"label": "shop-server", "hint": "Completed", "href": f"/jobs/{kept.pk}/"}]
    assert groups["Workspaces"] == [{"label": "shop", "hint": "", "href": "/workspaces/shop/"}]
    assert groups["Sandboxes"] == [{"label": "shop", "hint": "Running", "href": f"/jobs/{kept.pk}/#terminal"}]


def test_a_job_is_found_by_the_beginning_of_its_id() -> None:
    owner = user()
    job = factories.job(owner, name="one")
    assert labels(found(owner, str(job.pk)[:8])["Jobs"]) == ["one"]


def test_without_a_word_the_newest_jobs() -> None:
    owner = user()
    for number in range(7):
        factories.job(owner, name=f"job-{number}")
    assert {title: labels(entries) for title, entries in found(owner).items()} == {
        "Recent jobs": ["job-6", "job-5", "job-4", "job-3", "job-2"]
    }


def test_of_many_the_last_entry_leads_to_all() -> None:
    owner = user()
    for number in range(6):
        factories.job(owner, name=f"job-{number}")
    *_, last = found(owner, "job-")["Jobs"]
    assert last == {"label": "All jobs like this", "hint": "", "href": "/jobs/?q=job-"}


def test_nobody_finds_what_others_have() -> None:
    held.idle(Agent(), user(), "shop", name="shop-server")
    assert found(user(), "shop") == {}
    assert found(user()) == {}


@pytest.mark.parametrize("text", ["%", "_", "\0", "'\"<script>", "x" * 9000, "\N{SNOWMAN}\n"])
def test_odd_words_find_nothing_and_break_nothing(text: str) -> None:
    owner = user()
    factories.job(owner, name="plain")
    assert set(found(owner, text)) <= {"Recent jobs"}


def test_the_number_of_queries_does_not_grow() -> None:
    owner, agent = user(), Agent(sandboxes=20, memory_mb=100_000, vcpus=100)
    counts = []
    for number in range(3):
        held.idle(agent, owner, f"box-{number}", name=f"box-{number}")
        with CaptureQueriesContext(connection) as queries:
            found(owner, "box")
        counts.append(len(queries))
    assert counts[1] == counts[2]
