"""The list of jobs and the start page over HTTP: what they narrow to, stop and offer."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs.models import Job
from tests.accounts.factories import user
from tests.dashboard.test_pages import browser, text_of
from tests.jobs import factories, held

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def names(client: Client, query: str) -> set[str]:
    page = text_of(client, f"/jobs/?{query}")
    return {name for name in ("failed", "fine", "old", "waits") if f">{name}</a>" in page}


@pytest.fixture
def owner() -> User:
    owner, agent = user(), factories.Agent()
    agent.run(factories.job(owner, name="failed", script="make release"), exit_code=3)
    agent.run(factories.job(owner, name="fine"))
    agent.run(factories.job(owner, name="old"))
    Job.objects.filter(name="old").update(created_at=timezone.now() - timedelta(days=3))
    factories.job(owner, name="waits")
    return owner


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"failed", "fine", "old", "waits"}),
        ("exit=zero", {"fine", "old"}),
        ("exit=other", {"failed"}),
        ("exit=none", {"waits"}),
        ("since=24h", {"failed", "fine", "waits"}),
        ("since=7d&exit=zero", {"fine", "old"}),
        ("q=RELEASE", {"failed"}),
        ("status=accepted", {"waits"}),
        ("workspace=none", set()),
        ("exit=nonsense&since=%00", {"failed", "fine", "old", "waits"}),
    ],
)
def test_it_narrows(owner: User, query: str, found: set[str]) -> None:
    assert names(browser(owner), query) == found


def test_it_narrows_to_a_workspace() -> None:
    owner, agent = user(), factories.Agent()
    held.idle(agent, owner, "box")
    agent.run(factories.job(owner, name="fine"))
    page = text_of(browser(owner), "/jobs/?workspace=box")
    assert re.search(r'<option value="box"\s+selected>box</option>', page)
    assert ">fine</a>" not in page


def test_several_are_stopped_at_once_and_the_list_stays_as_it_was() -> None:
    owner = user()
    jobs = [factories.job(owner) for _ in range(3)]
    theirs = factories.job()
    client = browser(owner)
    chosen = [str(job.pk) for job in (*jobs[:2], theirs)] + ["nonsense"]
    answer = client.post("/jobs/-/stop/", {"job": chosen, "query": "?status=accepted"})
    assert answer["Location"] == "/jobs/?status=accepted&done=2"
    assert "2 jobs are being stopped." in text_of(client, answer["Location"])
    assert not Job.objects.filter(pk__in=[job.pk for job in jobs[:2]], status="accepted").exists()
    for spared in (jobs[2], theirs):
        spared.refresh_from_db()
        assert spared.status == "accepted"


@pytest.mark.parametrize("chosen", [[], ["x"] * 51])
def test_too_few_or_too_many_are_refused(chosen: list[str]) -> None:
    assert browser(user()).post("/jobs/-/stop/", {"job": chosen}).status_code == 400


def test_stopping_needs_the_forms_token_and_leads_nowhere_else() -> None:
    owner = user()
    job = factories.job(owner)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.post("/jobs/-/stop/", {"job": str(job.pk)}).status_code == 403
    answer = browser(owner).post("/jobs/-/stop/", {"job": str(job.pk), "query": "//evil.example"})
    assert answer["Location"].startswith("/jobs/?")


def test_start_page_of_a_newcomer_and_of_somebody_busy(django_assert_num_queries: Any) -> None:
    owner, agent = user(), factories.Agent()
    client = browser(owner)
    page = text_of(client, "/")
    assert "Welcome to Mags" in page
    assert "curl http://127.0.0.1:8080/api/v1/mags-jobs" in page
    assert "export MAGS_API_TOKEN=<span" in page
    agent.run(factories.job(owner, name="over"))
    agent.report(factories.started(factories.lease_of(factories.job(owner, name="at-work"))))
    held.idle(agent, owner, "site", url_port=8000)
    factories.job(name="theirs")
    page = text_of(client, "/")
    for text in ("Running now", "over", "at-work", "site", "Open the URL"):
        assert text in page
    assert "theirs" not in page
    with django_assert_num_queries(7):  # session, user, running, recent, sandboxes and their hosts, tokens
        client.get("/")
