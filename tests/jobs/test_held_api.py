"""The public API of jobs with workspaces (WIRE.md sections 1 to 4)."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.models import User
from files.services import upload_create, upload_put
from jobs.models import Job
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent, client_of, submit
from tests.jobs.held import fresh, workspace_of
from tests.workspaces.factories import saved

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def get(client: Client, reference: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{API}/mags-jobs/{reference}").json()
    return found


def test_the_job_object_says_what_was_asked_for(client: Client, bucket: str, owner: User) -> None:
    agent = Agent()
    saved(owner, "golden")
    status, answer = submit(client, workspace_id="w", base_workspace_id="golden", persistent=True, disk_gb=5)
    assert status == 202
    job = Job.objects.get(pk=answer["request_id"])
    held.start(agent, job)
    shown = get(client, job.pk)
    assert (shown["workspace_id"], shown["base_workspace_id"], shown["persistent"]) == ("w", "golden", True)
    assert (shown["sandbox"], shown["vm_id"], shown["disk_gb"]) == ("running", fresh(job).in_sandbox_id, 5)
    held.finish(agent, job)
    shown = get(client, "w")
    assert (shown["id"], shown["status"], shown["sandbox"]) == (str(job.pk), "completed", "running")


def test_a_workspace_in_use_is_a_conflict_in_the_words_that_clients_know(client: Client) -> None:
    Agent()
    assert submit(client, workspace_id="w")[0] == 202
    status, answer = submit(client, workspace_id="w")
    assert (status, answer["code"], answer["retryable"]) == (409, "workspace_in_use", True)
    assert "already in use" in answer["error"]


def test_the_same_key_is_the_same_job_and_no_conflict(client: Client) -> None:
    Agent()
    headers = {"Idempotency-Key": "k"}
    body = {"script": "true", "workspace_id": "w"}
    one, two = (
        client.post(f"{API}/mags-jobs", body, content_type="application/json", headers=headers)
        for _ in range(2)
    )
    assert (one.status_code, one.json()) == (two.status_code, two.json())
    assert Job.objects.count() == 1


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "x" * 64, "a b", 7, ["w"]])
@pytest.mark.parametrize("field", ["workspace_id", "base_workspace_id"])
def test_hostile_names_are_refused(client: Client, field: str, name: Any) -> None:
    status, answer = submit(client, **{field: name})
    assert (status, list(answer["fields"])) == (400, [field])


def test_a_missing_base_is_not_found(client: Client) -> None:
    status, answer = submit(client, workspace_id="w", base_workspace_id="golden")
    assert (status, answer["code"]) == (404, "workspace_not_found")
    assert list(answer["fields"]) == ["base_workspace_id"]


def test_a_reference_is_resolved_in_the_order_of_the_wire(client: Client, owner: User) -> None:
    agent = Agent(sandboxes=9, memory_mb=9000, vcpus=9)

    def done(name: str, workspace: str) -> Job:
        job = held.job(owner, workspace, name=name)
        sandbox = held.start(agent, job)
        held.finish(agent, job)
        held.end(agent, sandbox)
        return job

    used = done("", "x")
    assert get(client, "x")["id"] == str(used.pk)  # any by workspace
    named = done("x", "other")
    done("", "x")
    assert get(client, "x")["id"] == str(named.pk)  # any by name
    running_on = held.job(owner, "x")
    assert get(client, "x")["id"] == str(named.pk)
    held.start(agent, running_on)
    assert get(client, "x")["id"] == str(running_on.pk)  # running by workspace
    running = held.job(owner, "another", name="x")
    held.start(agent, running)
    assert get(client, "x")["id"] == str(running.pk)  # running by name
    assert client_of(factories.user()).get(f"{API}/mags-jobs/x").status_code == 404


def test_the_list_by_workspace(client: Client, owner: User) -> None:
    Agent()
    job = held.job(owner)
    factories.job(owner)
    held.job(factories.user())
    listed = client.get(f"{API}/mags-jobs?workspace=w").json()
    assert (listed["total"], [found["id"] for found in listed["jobs"]]) == (1, [str(job.pk)])
    assert client.get(f"{API}/mags-jobs?workspace=..").status_code == 400


def test_a_workspace_says_which_job_uses_it(client: Client, owner: User) -> None:
    agent = Agent()
    job = held.idle(agent, owner)
    assert client.get(f"{API}/mags-workspaces/w").json()["active_job"] == str(job.pk)
    response = client.delete(f"{API}/mags-workspaces/w")
    assert (response.status_code, "already in use" in response.json()["error"]) == (409, True)
    client.post(f"{API}/mags-jobs/w/stop")
    assert client.delete(f"{API}/mags-workspaces/w").status_code == 409
    held.end(agent, held.box(job), "stopped")
    assert client.get(f"{API}/mags-workspaces/w").json()["active_job"] is None
    assert client.delete(f"{API}/mags-workspaces/w").status_code == 204
    assert get(client, job.pk)["workspace_id"] == "w"


class TestFiles:
    def upload(self, owner: User, name: str = "data.csv", body: bytes = b"1,2") -> str:
        return str(upload_create(upload_put(owner, name, io.BytesIO(body))).pk)

    @pytest.mark.parametrize("change", [{}, {"workspace_id": "w"}])
    def test_the_host_gets_addresses_that_work(
        self, client: Client, bucket: str, owner: User, change: dict[str, Any]
    ) -> None:
        agent = Agent()
        assert submit(client, file_ids=[self.upload(owner)], **change)[0] == 202
        [given] = agent.poll()
        [file] = given["files"]
        assert (file["name"], file["bytes"], len(file["sha256"])) == ("data.csv", 3, 64)
        assert httpx.get(file["url"]).content == b"1,2"

    def test_somebody_elses_file_is_not_there(self, client: Client, bucket: str) -> None:
        status, answer = submit(client, file_ids=[self.upload(factories.user())])
        assert (status, answer["code"]) == (404, "file_not_found")
        assert Job.objects.count() == 0

    @pytest.mark.parametrize("file_ids", [["x"], "x", [7], [None], ["x"] * 101, [["x"]]])
    def test_what_is_no_file_is_refused(self, client: Client, file_ids: Any) -> None:
        status, answer = submit(client, file_ids=file_ids)
        assert status in (400, 404)
        assert [name.partition(".")[0] for name in answer["fields"]] == ["file_ids"]

    def test_two_of_one_name_are_refused(self, client: Client, bucket: str, owner: User) -> None:
        status, answer = submit(client, file_ids=[self.upload(owner), self.upload(owner)])
        assert (status, answer["code"]) == (400, "same_file_name")


def test_a_workspace_that_has_less_disk_grows(client: Client, owner: User) -> None:
    agent = Agent()
    job = Job.objects.get(pk=submit(client, workspace_id="w")[1]["request_id"])
    sandbox = held.start(agent, job)
    held.finish(agent, job)
    held.end(agent, sandbox)
    for wanted, has in ((5, 5), (2, 5), (None, 5)):
        body = {"disk_gb": wanted} if wanted else {}
        later = Job.objects.get(pk=submit(client, workspace_id="w", **body)[1]["request_id"])
        assert (later.disk_gb, workspace_of(owner).disk_gb, later.in_sandbox.disk_gb) == (has, has, has)
        sandbox = held.start(agent, later)
        held.finish(agent, later)
        held.end(agent, sandbox)
