"""The host API's boot, poll and report, as docs/reference/host-api.md says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hosts.models import Host
from jobs import logs
from jobs.models import Job, JobEvent, Lease, LogChunk
from jobs.services import job_stop, schedule_waiting
from jobs.states import LeaseState
from tests.jobs import factories
from tests.jobs.factories import Agent, finished, lease_of, log, started

pytestmark = pytest.mark.django_db(transaction=True)


def room(agent: Agent) -> tuple[int, int]:
    host = Host.objects.get(pk=agent.host.pk)
    return host.used_sandboxes, host.used_memory_mb


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def test_a_job_runs_from_submit_to_exit(redis: Any) -> None:
    agent = Agent()
    job = factories.job(script="echo hi", name="build", environment={"A": "b"}, timeout_s=9)
    [given] = agent.poll()
    lease = lease_of(job)
    assert given | {"assigned_at": 0} == {
        "lease_id": lease.pk, "lease_epoch": 1, "revision": lease.revision, "wish": "run",
        "sandbox_id": lease.sandbox_id, "job_id": str(job.pk), "tenant": f"u{job.owner_id}", "name": "build",
        "script": "echo hi", "environment": {"A": "b"}, "image": "standard", "vcpus": 2, "memory_mb": 1024,
        "disk_gb": 2, "timeout_s": 9, "log_offset": 0, "assigned_at": 0, "in_sandbox": False, "files": [],
    }  # fmt: skip
    assert room(agent) == (1, 1024)
    agent.run(job, b"hi\n", exit_code=3)
    job = fresh(job)
    assert (job.status, job.reason, job.exit_code, job.log_bytes) == ("completed", "", 3, 3)
    assert job.timings.keys() == {"queued", "assigned", "restored", "started"}
    assert room(agent) == (0, 0)
    assert agent.poll() == []
    kinds = list(JobEvent.objects.filter(job=job).order_by("id").values_list("kind", flat=True))
    assert kinds == ["submitted", "assigned", "started", "finished"]


def test_repeated_reports_change_nothing(redis: Any) -> None:
    agent = Agent()
    job = factories.job()
    lease = lease_of(job)
    begin, text = started(lease), log(lease, 0, b"abc")
    assert agent.report(begin, begin) == [{"status": 200}] * 2
    assert agent.report(text, text) == [{"status": 200}, {"status": 409, "code": "offset", "expected": 3}]
    end = finished(lease, 3)
    assert agent.report(end, end) == [{"status": 200}] * 2
    assert agent.report(end) == [{"status": 200}]
    assert agent.report(end | {"outcome": "oom"}) == [{"status": 409, "code": "stale_lease"}]
    assert agent.report(begin, text) == [{"status": 409, "code": "stale_lease"}] * 2
    assert room(agent) == (0, 0)
    assert JobEvent.objects.filter(job=job, kind="finished").count() == 1
    assert (
        b"".join(logs.entry_bytes(e) for e in logs.page(fresh(job), 0, limit=9, limit_bytes=9).entries)
        == b"abc"
    )


def test_log_bytes_go_only_where_the_stored_ones_end(redis: Any) -> None:
    agent = Agent()
    job = factories.job()
    lease = lease_of(job)
    assert agent.report(log(lease, 1, b"x"))[0] == {"status": 409, "code": "offset", "expected": 0}
    assert agent.report(log(lease, 0, b"abc"), log(lease, 3, b"def")) == [{"status": 200}] * 2
    assert agent.report(log(lease, 0, b"abc"))[0]["expected"] == 6
    assert agent.report(finished(lease, 5))[0] == {"status": 409, "code": "offset", "expected": 6}
    assert fresh(job).status == "accepted"
    assert agent.report(finished(lease, 6))[0] == {"status": 200}


@pytest.mark.parametrize(
    "change",
    [
        {"data": "%%%"},
        {"data": 7},
        {"data": "AAAA"},  # 3 bytes, the records say 2
        {"records": []},
        {"records": [[0, 1, 2], [0, 1, 1]]},
        {"records": [[0, 4, 2]]},
        {"records": [[0, 1, 0], [0, 1, 2]]},
        {"records": [[0, 1, -2], [0, 1, 4]]},
        {"records": [[-1, 1, 2]]},
        {"records": [[10**18, 1, 2]]},
        {"records": [[0, 1]]},
        {"records": "x"},
        {"offset": -1},
        {"offset": 2**60},
        {"offset": "0"},
        {"lease_id": "1"},
        {"lease_id": 0},
        {"lease_id": 2**70},
        {"type": "other"},
        {"type": None},
    ],
)
def test_a_hostile_log_item_is_refused_alone(change: dict[str, Any], redis: Any) -> None:
    agent = Agent()
    job = factories.job()
    lease = lease_of(job)
    bad, good = agent.report(log(lease, 0, b"hi") | change, log(lease, 0, b"hi"))
    assert (bad["status"], bad["code"]) == (400, "invalid")
    assert bad["error"]
    assert good == {"status": 200}
    assert LogChunk.objects.get(job=job).length == 2


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "won"},
        {"exit_code": 256},
        {"exit_code": -1},
        {"exit_code": None},
        {"log_bytes": -1},
        {"dropped_bytes": 1.5},
        {"duration_ms": -1},
        {"message": "x" * 2001},
        {"at": None},
    ],
)
def test_a_hostile_finish_is_refused(change: dict[str, Any], redis: Any) -> None:
    agent = Agent()
    job = factories.job()
    assert agent.report(finished(lease_of(job), 0) | change)[0]["code"] == "invalid"
    assert fresh(job).status == "accepted"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"boot_epoch": 1}', b'{"boot_epoch": 1, "items": {}}', b"\xff"]
)
def test_a_malformed_report_is_400(body: bytes, redis: Any) -> None:
    agent = Agent()
    response = agent.client.post(factories.HOST_API + "/report", data=body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["code"] == "invalid"


def test_a_full_log_item_is_stored_and_a_larger_one_refused(redis: Any) -> None:
    agent = Agent()
    job = factories.job()
    lease = lease_of(job)
    record = [0, 2, 65536]
    assert agent.report(log(lease, 0, b"\0" * 2**20, [record] * 16)) == [{"status": 200}]
    too_much = log(lease, 2**20, b"\0" * (2**20 + 1), [*[record] * 16, [0, 2, 1]])
    assert agent.report(too_much)[0]["code"] == "invalid"
    assert fresh(job).log_bytes == 2**20


@pytest.mark.parametrize(
    ("outcome", "code", "status", "reason", "stored"),
    [
        ("exited", 0, "completed", "", 0),
        ("exited", 255, "completed", "", 255),
        ("stopped", None, "completed", "stopped", 143),
        ("oom", 137, "error", "oom", 137),
        ("timed_out", None, "error", "timed_out", 124),
        ("disk_full", 1, "error", "disk_full", 1),
        ("start_failed", None, "error", "start_failed", None),
        ("lost", None, "error", "host_lost", None),
    ],
)
def test_how_an_outcome_is_told(
    outcome: str, code: int | None, status: str, reason: str, stored: int | None, redis: Any
) -> None:
    agent = Agent()
    job = factories.job()
    lease = lease_of(job)
    agent.report(
        started(lease), finished(lease, 0, outcome=outcome, exit_code=code, message="why", dropped_bytes=9)
    )
    job = fresh(job)
    assert (job.status, job.reason, job.exit_code, job.message) == (status, reason, stored, "why")
    assert (job.sandbox, job.dropped_bytes, job.script_duration_ms) == ("none", 9, 5)


def test_times_of_a_host_with_a_wrong_clock_are_put_right(redis: Any) -> None:
    agent = Agent()
    job = factories.job()
    lease = lease_of(job)
    before = timezone.now()
    agent.report(started(lease, at=0), finished(lease, 0, at=2**40 * 3))
    job = fresh(job)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert before - timedelta(seconds=60) < job.started_at <= job.finished_at <= timezone.now()


def test_a_host_cannot_touch_another_hosts_lease(redis: Any) -> None:
    owner, thief = Agent(), Agent(sandboxes=0)
    job = factories.job()
    lease = lease_of(job)
    assert lease.host_id == owner.host.pk
    for item in (started(lease), log(lease, 0, b"x"), finished(lease, 0)):
        assert thief.report(item) == [{"status": 409, "code": "stale_lease"}]
    assert thief.poll() == []
    assert thief.boot([lease])["drop"] == [lease.pk]
    job = fresh(job)
    assert (job.status, job.log_bytes) == ("accepted", 0)


def test_a_wrong_lease_epoch_is_stale(redis: Any) -> None:
    agent = Agent()
    lease = lease_of(factories.job())
    assert agent.report(started(lease, lease_epoch=2)) == [{"status": 409, "code": "stale_lease"}]


def test_an_older_life_of_the_agent_is_refused(redis: Any) -> None:
    agent = Agent()
    lease = lease_of(factories.job())
    old = agent.boot_epoch
    agent.boot([lease])
    body = {"boot_epoch": old, "items": [started(lease)]}
    assert agent.call("post", "/report", body)[1]["code"] == "stale_boot"
    status, answer = agent.call("get", f"/poll?boot_epoch={old}&after=0&wait=0")
    assert (status, answer["code"]) == (409, "stale_boot")
    assert Lease.objects.get(pk=lease.pk).state == LeaseState.OFFERED


@pytest.mark.parametrize("path", ["/boot", "/report"])
def test_a_call_without_a_host_key_is_401(path: str, redis: Any) -> None:
    agent = Agent()
    agent.client.defaults["HTTP_AUTHORIZATION"] = "Bearer magshost_other"
    status, answer = agent.call("post", path, {})
    assert (status, answer["code"]) == (401, "bad_host_key")


@pytest.mark.parametrize("query", ["", "boot_epoch=x", "boot_epoch=1&wait=nan", "boot_epoch=1&after=-1"])
def test_a_malformed_poll_is_400(query: str, redis: Any) -> None:
    status, answer = Agent().call("get", f"/poll?{query}")
    assert (status, answer["code"]) == (400, "invalid")


class TestBoot:
    def test_reported_leases_stay(self, redis: Any) -> None:
        agent = Agent()
        lease = lease_of(factories.job())
        agent.report(started(lease))
        answer = agent.boot([lease], machine="boot-2")
        assert [given["lease_id"] for given in answer["assignments"]] == [lease.pk]
        assert answer["drop"] == []

    def test_an_unreported_offer_stays_on_the_same_machine_boot(self, redis: Any) -> None:
        agent = Agent()
        lease = lease_of(factories.job())
        assert [given["lease_id"] for given in agent.boot()["assignments"]] == [lease.pk]

    def test_an_unreported_started_lease_is_lost(self, redis: Any) -> None:
        agent = Agent()
        job = factories.job()
        agent.report(started(lease_of(job)))
        assert agent.boot()["assignments"] == []
        job = fresh(job)
        assert (job.status, job.reason, job.exit_code) == ("error", "host_lost", None)
        assert room(agent) == (0, 0)

    def test_an_offer_is_made_anew_after_a_reboot(self, redis: Any) -> None:
        agent = Agent()
        job = factories.job()
        lease = lease_of(job)
        assert agent.boot(machine="boot-2")["assignments"] == []
        [given] = agent.poll()
        assert (given["job_id"], given["lease_epoch"]) == (str(job.pk), 2)
        assert given["log_offset"] == fresh(job).log_bytes > 0  # a note says that it was tried before
        assert Lease.objects.get(pk=lease.pk).state == LeaseState.ENDED
        assert room(agent) == (1, 1024)

    @pytest.mark.parametrize(
        "change",
        [
            {"isolation": "none"},
            {"capacity": {"sandboxes": -1, "memory_mb": 1, "vcpus": 1}},
            {"machine_boot_id": "a b"},
            {"leases": [{"lease_id": 1}]},
            {"agent_version": "x" * 41},
        ],
    )
    def test_bad_fields_are_400(self, change: dict[str, Any], redis: Any) -> None:
        agent = Agent(boot=False)
        body = {
            "machine_boot_id": "b", "agent_version": "1", "isolation": "container",
            "capacity": agent.capacity, "leases": [],
        }  # fmt: skip
        status, answer = agent.call("post", "/boot", body | change)
        assert (status, answer["code"]) == (400, "invalid")
        assert Host.objects.get(pk=agent.host.pk).boot_epoch == 0


class TestRetries:
    def test_an_error_is_tried_again(self, redis: Any) -> None:
        agent = Agent()
        job = factories.job(retries=1)
        first = lease_of(job)
        agent.report(started(first), log(first, 0, b"one"), finished(first, 3, outcome="oom", exit_code=137))
        job = fresh(job)
        second = lease_of(job)
        assert (job.status, job.attempt, second.epoch) == ("accepted", 2, 2)
        assert second.log_offset == job.log_bytes > 3
        agent.report(started(second), finished(second, job.log_bytes, outcome="oom", exit_code=137))
        assert (fresh(job).status, fresh(job).reason) == ("error", "oom")

    def test_an_exit_code_is_not_an_error(self, redis: Any) -> None:
        agent = Agent()
        job = factories.job(retries=3)
        agent.run(job, exit_code=1)
        assert (fresh(job).status, fresh(job).exit_code, fresh(job).attempt) == ("completed", 1, 1)

    def test_a_start_that_failed_is_ours_to_repeat_twice(self, redis: Any) -> None:
        agent = Agent()
        job = factories.job()
        for epoch in (1, 2, 3):
            lease = lease_of(job)
            assert lease.epoch == epoch
            agent.report(
                finished(lease, lease.log_offset, outcome="start_failed", exit_code=None, message="no image")
            )
        job = fresh(job)
        assert (job.status, job.reason, job.message) == ("error", "start_failed", "no image")

    def test_a_stopped_job_is_not_tried_again(self, redis: Any) -> None:
        agent = Agent()
        job = factories.job(retries=3)
        lease = lease_of(job)
        agent.report(started(lease))
        job_stop(fresh(job))
        [given] = agent.poll()
        assert given["wish"] == "stop"
        agent.report(finished(lease, 0, outcome="oom", exit_code=137))
        assert (fresh(job).status, fresh(job).reason) == ("error", "oom")


def test_the_end_of_one_job_starts_the_next(redis: Any) -> None:
    agent = Agent(sandboxes=1)
    first, second = factories.job(), factories.job()
    assert (second.reason, second.assigned_at) == ("no_capacity", None)
    agent.run(first)
    assert [given["job_id"] for given in agent.poll()] == [str(second.pk)]
    assert fresh(second).reason == ""
    assert schedule_waiting() == 0
