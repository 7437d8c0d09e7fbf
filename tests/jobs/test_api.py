"""The public API of jobs: each call works, is closed to strangers, and says what is wrong."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from jobs.models import Job
from jobs.selectors import job_get
from tests.jobs import factories
from tests.jobs.factories import API, Agent, finished, lease_of, log, started, submit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
JOB_KEYS = {
    "request_id", "id", "name", "status", "reason", "exit_code", "vm_id", "workspace_id", "base_workspace_id",
    "persistent", "no_sleep", "url", "ssh", "script_duration_ms", "created_at", "started_at", "finished_at",
    "host", "isolation", "sandbox", "durable_at", "timings",
}  # fmt: skip


def get(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    response = client.get(f"{API}/mags-jobs{path}", content_type="application/json")
    return response.status_code, response.json()


def test_a_finished_job_is_shown_in_full(client: Client, owner: Any) -> None:
    agent = Agent()
    job = factories.job(owner, name="build")
    _, waiting = get(client, f"/{job.pk}")
    assert waiting.keys() >= JOB_KEYS
    assert (waiting["vm_id"], waiting["host"], waiting["status"]) == (None, agent.host.name, "accepted")
    agent.run(job)
    for path in (f"/{job.pk}", f"/{job.pk}/status", "/build", "/build/status"):
        status, body = get(client, path)
        assert (status, body["id"], body["status"], body["exit_code"]) == (200, str(job.pk), "completed", 0)
    assert body["vm_id"] is not None
    assert (body["isolation"], body["sandbox"], body["script_duration_ms"]) == ("container", "none", 5)
    assert body["created_at"].endswith("Z")
    assert "subdomain" not in body


@pytest.mark.parametrize("path", ["", "/status", "/logs", "/events", "/status?wait=1", "/logs?wait=1"])
def test_a_strangers_job_looks_like_none(client: Client, path: str) -> None:
    theirs = factories.job(name="theirs")
    answers = [
        get(client, f"/{ref}{path}") for ref in (theirs.pk, "theirs", uuid.uuid4(), "none", "not a name")
    ]
    assert [status for status, _ in answers] == [404] * 5
    assert len({tuple(sorted((body | {"request_id": ""}).items())) for _, body in answers}) == 1
    assert answers[0][1]["code"] == "job_not_found"


def test_without_a_token_nothing_is_shown(client: Client) -> None:
    anonymous = Client()
    for path in ("", f"/{factories.job().pk}", "/pool-status", "/x/logs", "/x/status"):
        assert get(anonymous, path)[0] == 401
    assert submit(anonymous)[0] == 401


def test_a_name_finds_the_one_that_is_alive_then_the_newest(owner: Any) -> None:
    agent = Agent()
    oldest, middle, newest = (factories.job(owner, name="n") for _ in range(3))
    assert job_get(owner, "n").pk == newest.pk
    agent.report(started(lease_of(middle)))
    assert job_get(owner, "n").pk == middle.pk
    agent.report(finished(lease_of(middle), 0))
    assert job_get(owner, "n").pk == newest.pk
    assert job_get(owner, str(oldest.pk).upper()).pk == oldest.pk


def test_a_list_is_paged_filtered_and_of_constant_cost(
    client: Client, owner: Any, django_assert_num_queries: Any
) -> None:
    agent = Agent(sandboxes=100, memory_mb=2**20)
    jobs = [factories.job(owner, name=f"job-{i}") for i in range(30)]
    factories.job(name="job-theirs")
    agent.run(jobs[0])
    get(client, "")  # notes the token's use, once a minute
    with django_assert_num_queries(3):  # token, page, total
        status, body = get(client, "?page=2&page_size=25")
    assert (status, body["total"], body["page"], body["page_size"]) == (200, 30, 2, 25)
    assert [job["name"] for job in body["jobs"]] == [f"job-{i}" for i in (4, 3, 2, 1, 0)]
    assert body["jobs"][0].keys() >= JOB_KEYS
    assert [job["name"] for job in get(client, "?status=completed")[1]["jobs"]] == ["job-0"]
    assert get(client, "?q=job-2")[1]["total"] == 11
    assert get(client, f"?q={str(jobs[5].pk)[:12]}")[1]["jobs"][0]["name"] == "job-5"
    assert get(client, "?q=%25")[1]["total"] == 0
    assert get(client, "?workspace=w")[1]["total"] == 0
    assert get(client, "?status=odd")[0] == 400
    assert get(client, "?page=0")[0] == 400


class TestLogs:
    def test_a_page_at_a_time(self, client: Client, owner: Any) -> None:
        agent = Agent()
        job = factories.job(owner)
        lease = lease_of(job)
        records = [[1763881200123, 1, 8], [1763881200124, 2, 4], [1763881200125, 3, 2]]
        agent.report(started(lease), log(lease, 0, b"one\ntwo\nerr\xffP\n", records))
        _, body = get(client, f"/{job.pk}/logs")
        at = {"timestamp": "2025-11-23T07:00:00.123Z"}
        assert body == {
            "logs": [
                at | {"level": "info", "message": "one", "stream": "stdout", "offset": 0},
                at | {"level": "info", "message": "two", "stream": "stdout", "offset": 4},
                {
                    "timestamp": "2025-11-23T07:00:00.124Z", "level": "error", "message": "err\ufffd",
                    "stream": "stderr", "offset": 8, "partial": True, "base64": "ZXJy/w==",
                },
                {
                    "timestamp": "2025-11-23T07:00:00.125Z", "level": "info", "message": "P",
                    "stream": "platform", "offset": 12, "source": "platform",
                },
            ],
            "next_offset": 14, "truncated_bytes": 0, "expired": False, "end": None,
        }  # fmt: skip
        agent.report(finished(lease, 14, exit_code=7, dropped_bytes=3))
        _, body = get(client, f"/{job.pk}/logs?offset=0&limit=2")
        assert (len(body["logs"]), body["next_offset"], body["end"], body["truncated_bytes"]) == (
            2,
            8,
            None,
            3,
        )
        _, body = get(client, f"/{job.pk}/logs?offset=10")
        assert body["end"] == {"status": "completed", "reason": None, "exit_code": 7}
        assert [entry["message"] for entry in body["logs"]] == ["r\ufffd", "P"]
        _, body = get(client, f"/{job.pk}/logs?stream=stderr")
        assert ([entry["offset"] for entry in body["logs"]], body["next_offset"]) == ([8], 14)
        assert get(client, f"/{job.pk}/logs?offset=99")[1]["next_offset"] == 14

    @pytest.mark.parametrize(
        "query",
        [
            "offset=-1",
            "offset=x",
            "limit=0",
            "limit=10001",
            "wait=nan",
            "wait=-1",
            "stream=x",
            "unit=word",
            "offset=" + "9" * 20,
        ],
    )
    def test_a_bad_query_is_400(self, client: Client, owner: Any, query: str) -> None:
        status, body = get(client, f"/{factories.job(owner).pk}/logs?{query}")
        assert (status, list(body["fields"])) == (400, [query.split("=", maxsplit=1)[0]])

    def test_without_parameters_all_is_there(self, client: Client, owner: Any) -> None:
        agent = Agent()
        job = factories.job(owner)
        lease = lease_of(job)
        for i in range(3):
            agent.report(log(lease, i * 60_000, b"x\n" * 30_000, [[0, 1, 60_000]]))
        assert len(get(client, f"/{job.pk}/logs")[1]["logs"]) == 90_000
        assert len(get(client, f"/{job.pk}/logs?offset=0")[1]["logs"]) == 1000


class TestStop:
    def stop(self, client: Client, job: Any) -> tuple[int, dict[str, Any]]:
        response = client.post(f"{API}/mags-jobs/{job}/stop", content_type="application/json")
        return response.status_code, response.json()

    def test_a_waiting_job_ends_at_once(self, client: Client, owner: Any) -> None:
        job = factories.job(owner)
        assert self.stop(client, job.pk) == (200, {"request_id": str(job.pk), "status": "completed"})
        _, body = get(client, f"/{job.pk}")
        assert (body["status"], body["reason"], body["exit_code"]) == ("completed", "stopped", 143)
        assert get(client, f"/{job.pk}/logs")[1]["end"]["reason"] == "stopped"
        assert self.stop(client, job.pk)[0] == 200

    def test_a_running_job_is_asked_to_stop(self, client: Client, owner: Any) -> None:
        agent = Agent()
        job = factories.job(owner, name="n")
        lease = lease_of(job)
        agent.report(started(lease))
        agent.poll()
        assert self.stop(client, "n") == (200, {"request_id": str(job.pk), "status": "running"})
        [given] = agent.poll()
        assert (given["lease_id"], given["wish"]) == (lease.pk, "stop")
        assert self.stop(client, "n")[0] == 200
        assert agent.poll() == []  # said once
        agent.report(finished(lease, 0, outcome="stopped", exit_code=None))
        _, body = get(client, "/n")
        assert (body["status"], body["reason"], body["exit_code"]) == ("completed", "stopped", 143)
        assert body["stop_requested_at"] is not None

    def test_a_stranger_cannot(self, client: Client) -> None:
        job = factories.job()
        assert self.stop(client, job.pk)[0] == 404
        assert Job.objects.get(pk=job.pk).status == "accepted"


class TestPatch:
    def patch(self, client: Client, job: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        response = client.patch(f"{API}/mags-jobs/{job}", data=body, content_type="application/json")
        return response.status_code, response.json()

    def test_a_job_is_renamed(self, client: Client, owner: Any) -> None:
        job = factories.job(owner)
        status, body = self.patch(client, job.pk, {"name": "new"})
        assert (status, body["name"], body["id"]) == (200, "new", str(job.pk))
        assert get(client, "/new")[1]["id"] == str(job.pk)
        assert self.patch(client, job.pk, {"name": None})[1]["name"] is None
        assert self.patch(client, job.pk, {})[0] == 200

    @pytest.mark.parametrize("body", [{"no_sleep": True}, {"startup_command": "x"}])
    def test_what_needs_a_persistent_job_is_refused(
        self, client: Client, owner: Any, body: dict[str, Any]
    ) -> None:
        job = factories.job(owner, name="old")
        status, answer = self.patch(client, job.pk, body | {"name": "new"})
        assert (status, answer["code"], list(answer["fields"])) == (400, "not_persistent", list(body))
        assert Job.objects.get(pk=job.pk).name == "old"

    def test_bad_names_and_strangers(self, client: Client, owner: Any) -> None:
        assert self.patch(client, factories.job(owner).pk, {"name": "a b"})[0] == 400
        assert self.patch(client, factories.job().pk, {"name": "ab"})[0] == 404


def test_events_tell_the_story(client: Client, owner: Any) -> None:
    agent = Agent()
    job = factories.job(owner)
    agent.run(job, exit_code=4)
    _, body = get(client, f"/{job.pk}/events")
    assert [event["kind"] for event in body["events"]] == ["submitted", "assigned", "started", "finished"]
    assert body["events"][1]["detail"] == {"host": agent.host.name, "attempt": 1}
    assert body["events"][3]["detail"] == {"attempt": 1, "reason": None, "exit_code": 4}


def test_pool_status_counts_hosts_that_take_work(client: Client, owner: Any) -> None:
    Agent(sandboxes=3)
    factories.job(owner)
    assert get(client, "/pool-status")[1] == {
        "idle_vms": 2, "busy_vms": 1, "total_vms": 3, "min_pool_size": 0, "max_pool_size": 3,
    }  # fmt: skip
