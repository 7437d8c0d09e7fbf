"""The page of sandboxes, and what a job's page says of its own: who sees what, and what it says."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from dashboard.sandbox_cards import sandbox_card
from jobs.models import Job
from jobs.states import SandboxState
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase
from tests.accounts.factories import browser_of, user
from tests.jobs import factories, held

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def client(owner: User) -> Client:
    return browser_of(owner)


def text_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return str(response.content.decode())


class TestList:
    def test_strangers_are_sent_to_sign_in(self) -> None:
        assert Client().get("/sandboxes/")["Location"] == "/login/?next=/sandboxes/"

    def test_teaches_when_there_are_none(self, client: Client) -> None:
        assert "mags new my-space" in text_of(client, "/sandboxes/")

    def test_shows_ones_own(self, client: Client, owner: User) -> None:
        agent = factories.Agent()
        held.idle(agent, owner, "mine")
        held.idle(agent, user(), "theirs")
        page = text_of(client, "/sandboxes/")
        assert "mine" in page
        assert agent.host.name in page
        assert "theirs" not in page

    def test_of_jobs_in_one_sandbox_the_newest_stands_for_it(self, client: Client, owner: User) -> None:
        agent = factories.Agent()
        first = held.idle(agent, owner, "w")
        newer = held.job(owner, "w", kept=True)
        page = text_of(client, "/sandboxes/")
        assert f'href="/jobs/{newer.pk}/"' in page
        assert f'href="/jobs/{first.pk}/"' not in page

    def test_shows_what_was_stopped_for_idleness_and_not_what_was_put_away(
        self, client: Client, owner: User
    ) -> None:
        agent = factories.Agent()
        for name, state in (("asleep", SandboxState.SLEEPING), ("away", SandboxState.NONE)):
            job = held.idle(agent, owner, name)
            Sandbox.objects.filter(pk=job.in_sandbox_id).update(
                state=SandboxPhase.ENDED, ended_at=timezone.now()
            )
            Job.objects.filter(pk=job.pk).update(sandbox=state)
        page = text_of(client, "/sandboxes/")
        assert "asleep" in page
        assert "away" not in page

    def test_searches_names(self, client: Client, owner: User) -> None:
        agent = factories.Agent()
        for name in ("alpha", "beta"):
            held.idle(agent, owner, name)
        assert "alpha" not in text_of(client, "/sandboxes/?q=bet")
        assert "No sandbox matches" in text_of(client, "/sandboxes/?q=nobody")

    def test_costs_the_same_for_many(
        self, client: Client, owner: User, django_assert_num_queries: Any
    ) -> None:
        agent = factories.Agent(sandboxes=8, vcpus=64, memory_mb=65_536)
        for number in range(6):
            held.idle(agent, owner, f"w{number}")
        with django_assert_num_queries(5):  # session, user, count, jobs, sandboxes
            client.get("/sandboxes/")


ASLEEP = {"asleep_since": timezone.now()}


@pytest.mark.parametrize(
    ("sandbox", "label", "can"),
    [
        ({"state": SandboxPhase.WAITING, "reason": "no_capacity"}, ("Waiting", "waiting"), "stop"),
        ({"state": SandboxPhase.OFFERED}, ("Starting", "running"), "stop"),
        ({"state": SandboxPhase.RUNNING}, ("Running", "ok"), "stop"),
        ({"state": SandboxPhase.RUNNING, **ASLEEP}, ("Sleeping", "quiet"), "wake stop"),
        ({"state": SandboxPhase.RUNNING, **ASLEEP, "wake_wished": 1}, ("Waking", "running"), "wake stop"),
        ({"state": SandboxPhase.ENDING}, ("Stopping", "running"), ""),
    ],
)
def test_words_for_a_live_sandbox(sandbox: dict[str, Any], label: tuple[str, str], can: str) -> None:
    live = Sandbox(memory_mb=512, is_kept=True, **sandbox)
    card = sandbox_card(Job(is_persistent=True), live)
    assert (card.label, card.tone) == label
    assert (card.can_wake, card.can_stop) == ("wake" in can, "stop" in can)
    assert card.sentence
    assert card.memory == "512 MB"


@pytest.mark.parametrize(
    ("job", "label", "can"),
    [
        ({"is_persistent": True, "sandbox": SandboxState.SLEEPING}, "Sleeping", "wake stop"),
        ({"is_persistent": True, "sandbox_message": "Its files are gone."}, "Stopped", "wake"),
        ({"status": "running", "sandbox": SandboxState.RUNNING}, "Running", "stop"),
    ],
)
def test_words_where_none_is_live(job: dict[str, Any], label: str, can: str) -> None:
    card = sandbox_card(Job(**job), None)
    assert card.label == label
    assert (card.can_wake, card.can_stop) == ("wake" in can, "stop" in can)
    assert card.sentence == job.get("sandbox_message", card.sentence)


class TestJobPage:
    def test_shows_what_holds_for_its_sandbox(self, client: Client, owner: User) -> None:
        job = held.idle(
            factories.Agent(), owner, "w", no_sleep=True, startup_command="serve </textarea>", url_port=8000
        )
        page = text_of(client, f"/jobs/{job.pk}/")
        assert 'aria-checked="true"' in page
        assert "serve &lt;/textarea&gt;" in page
        assert f"{job.pk}.apps.localhost:8081" in page
        assert f"/ws/jobs/{job.pk}/exec" in page

    def test_an_older_job_leads_to_the_one_that_counts(self, client: Client, owner: User) -> None:
        agent = factories.Agent()
        older = held.idle(agent, owner, "w")
        newer = held.job(owner, "w", kept=True)
        assert "A newer job" in text_of(client, f"/jobs/{older.pk}/")
        assert "A newer job" not in text_of(client, f"/jobs/{newer.pk}/")

    def test_a_job_with_a_sandbox_of_its_own_has_none_of_it(self, client: Client, owner: User) -> None:
        page = text_of(client, f"/jobs/{factories.job(owner).pk}/")
        assert "sandbox-title" not in page
        assert "/exec" not in page
