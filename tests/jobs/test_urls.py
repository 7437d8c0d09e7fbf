"""Public URLs of jobs, in the API (WIRE.md sections 2 to 4)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from jobs.models import Job
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent, client_of, kinds, submit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def access(client: Client, reference: Any, **body: Any) -> tuple[int, dict[str, Any]]:
    path = f"{API}/mags-jobs/{reference}/access"
    response = client.post(path, body, content_type="application/json")
    return response.status_code, response.json()


def url_of(client: Client, reference: Any) -> Any:
    return client.get(f"{API}/mags-jobs/{reference}").json()["url"]


@pytest.mark.parametrize(("given", "port"), [({}, 8080), ({"port": 8000}, 8000), ({"port": None}, 8080)])
def test_a_job_may_ask_for_a_url(client: Client, given: dict[str, Any], port: int) -> None:
    status, answer = submit(client, workspace_id="w", persistent=True, url=True, **given)
    job = Job.objects.get(pk=answer["request_id"])
    assert (status, job.url_port) == (202, port)
    assert url_of(client, job.pk) == f"http://{job.pk}.apps.localhost:8081"


def test_a_job_that_does_not_ask_has_none(client: Client) -> None:
    answer = submit(client, workspace_id="w", persistent=True, port=8000)[1]
    assert url_of(client, answer["request_id"]) is None


@pytest.mark.parametrize("port", [0, 22, 65_536, "x"])
def test_a_port_that_no_url_leads_to_is_refused(client: Client, port: Any) -> None:
    status, answer = submit(client, workspace_id="w", persistent=True, url=True, port=port)
    assert (status, list(answer["fields"]), Job.objects.count()) == (400, ["port"], 0)


def test_a_url_needs_a_sandbox_that_stays(client: Client) -> None:
    status, answer = submit(client, workspace_id="w", url=True)
    assert (status, answer["code"], list(answer["fields"])) == (400, "not_persistent", ["url"])


class TestAccess:
    def test_it_answers_the_url_and_where_it_leads(self, client: Client, owner: User) -> None:
        job = held.idle(Agent(), owner)
        expected = {"success": True, "url": f"http://{job.pk}.apps.localhost:8081", "port": 8000}
        assert access(client, "w", port=8000) == access(client, job.pk, port=8000) == (200, expected)
        assert kinds(job).count("url_opened") == 1  # the second changed nothing
        assert access(client, job.pk)[1]["port"] == 8080
        assert url_of(client, job.pk) == expected["url"]

    def test_a_strangers_job_is_not_there(self, owner: User) -> None:
        job = held.idle(Agent(), owner)
        assert access(client_of(factories.user()), job.pk, port=80)[0] == 404
        assert held.fresh(job).url_port is None

    def test_what_has_ended_is_a_conflict(self, client: Client, owner: User) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        held.end(agent, held.box(job), "stopped")
        status, answer = access(client, job.pk)
        assert (status, answer["code"]) == (409, "cannot_wake")  # nothing was ever saved

    def test_what_is_not_up_in_time_is_said_so(
        self, client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jobs.api.access.WAIT_S", 0.05)
        job = held.job(owner, kept=True)
        status, answer = access(client, job.pk)
        assert (status, answer["code"], answer["retryable"]) == (503, "sandbox_starting", True)

    def test_a_sandbox_that_lives_with_its_script_has_no_url(self, client: Client, owner: User) -> None:
        job = factories.job(owner)
        status, answer = access(client, job.pk)
        assert (status, answer["code"]) == (400, "not_persistent")

    @pytest.mark.parametrize("port", [0, 65_536, "x"])
    def test_a_port_that_is_none(self, client: Client, owner: User, port: Any) -> None:
        job = held.idle(Agent(), owner)
        status, answer = access(client, job.pk, port=port)
        assert (status, list(answer["fields"])) == (400, ["port"])
