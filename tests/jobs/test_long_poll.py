"""Calls that wait: woken by the change itself, by no timer, and never left asleep."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from accounts.services import token_create
from jobs.models import Job
from jobs.services import job_stop
from tests.jobs import factories
from tests.jobs.factories import API, HOST_API, Agent, finished, lease_of, log, started

# Less than any timer that would look again by itself (core.wakeup.RECHECK_S is 5 s and 3.5 at least).
WOKEN_S = 2.5


class Remote:
    """The running server, as an agent and as a user."""

    def __init__(self, url: str) -> None:
        self.agent = Agent()
        self.owner = factories.user()
        _, token = token_create(self.owner, "test")
        self.user = httpx.Client(base_url=url + API, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        key = self.agent.client.defaults["HTTP_AUTHORIZATION"]
        self.host = httpx.Client(base_url=url + HOST_API, headers={"Authorization": key}, timeout=30)

    def poll(self, after: int, wait_s: float = 20) -> dict[str, Any]:
        query = {"boot_epoch": self.agent.boot_epoch, "after": after, "wait": wait_s}
        answer: dict[str, Any] = self.host.get("/poll", params=query).raise_for_status().json()
        return answer

    def get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.user.get(f"/mags-jobs/{path}").raise_for_status().json()
        return answer


@pytest.fixture
def remote(web: Any) -> Any:
    remote = Remote(web.url)
    yield remote
    remote.user.close()
    remote.host.close()


def while_waiting(call: Callable[[], Any], change: Callable[[], Any]) -> tuple[Any, float]:
    """What `call` answers when `change` happens while it waits, and how long after the change."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Any] = pool.submit(call)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)  # it waits indeed
        began = time.monotonic()
        change()
        return waiting.result(), time.monotonic() - began


def test_a_poll_is_woken_by_a_submit(remote: Remote) -> None:
    after = remote.agent.revision
    submit = lambda: remote.user.post("/mags-jobs", json={"script": "true"})  # noqa: E731
    answer, seconds = while_waiting(lambda: remote.poll(after), submit)
    assert len(answer["assignments"]) == 1
    assert seconds < WOKEN_S


def test_a_poll_is_woken_by_another_process(remote: Remote) -> None:
    job = factories.job()
    after = remote.poll(0, 0)["revision"]
    answer, seconds = while_waiting(lambda: remote.poll(after), lambda: job_stop(job))
    assert [given["wish"] for given in answer["assignments"]] == ["stop"]
    assert seconds < WOKEN_S


def test_a_poll_ends_with_nothing_after_its_time(remote: Remote) -> None:
    began = time.monotonic()
    after = remote.agent.revision
    lists = ("assignments", "drop", "sandboxes", "drop_sandboxes", "drop_volumes", "questions")
    assert remote.poll(after, 0.2) == {"revision": after} | {name: [] for name in lists}
    assert 0.2 <= time.monotonic() - began < WOKEN_S


def test_no_wake_up_is_lost_between_reading_and_waiting(remote: Remote) -> None:
    """Submits at every moment of a poller's turn: each is delivered at once."""
    count = 60
    submitted: dict[str, float] = {}
    delays: list[float] = []

    def submit_all() -> None:
        for i in range(count):
            answer = remote.user.post("/mags-jobs", json={"script": "true"}).raise_for_status().json()
            submitted[answer["request_id"]] = time.monotonic()
            time.sleep((i % 7) / 1000)  # the phase, not a wait for something

    remote.agent.capacity["sandboxes"] = count
    remote.agent.capacity["memory_mb"] = 2**20
    remote.agent.boot()
    sender = threading.Thread(target=submit_all)
    after, seen = remote.agent.revision, dict[str, float]()
    sender.start()
    while len(seen) < count:
        answer = remote.poll(after)
        after = answer["revision"]
        seen |= {given["job_id"]: time.monotonic() for given in answer["assignments"]}
    sender.join()
    delays = [seen[job] - submitted[job] for job in submitted]
    assert max(delays) < WOKEN_S


def test_status_waits_for_another_status(remote: Remote) -> None:
    job = factories.job(remote.owner)
    lease = lease_of(job)
    start = lambda: remote.agent.report(started(lease), log(lease, 0, b"x"))  # noqa: E731
    answer, seconds = while_waiting(lambda: remote.get(f"{job.pk}/status?wait=20"), start)
    assert (answer["status"], answer["vm_id"]) == ("running", lease.sandbox_id)
    assert seconds < WOKEN_S
    end = lambda: remote.agent.report(finished(lease, 1))  # noqa: E731
    answer, seconds = while_waiting(lambda: remote.get(f"{job.pk}/status?wait=20"), end)
    assert (answer["status"], answer["exit_code"]) == ("completed", 0)
    assert seconds < WOKEN_S
    began = time.monotonic()
    remote.get(f"{job.pk}/status?wait=20")  # nothing will change any more
    assert time.monotonic() - began < WOKEN_S


def test_status_with_a_revision_misses_nothing(remote: Remote) -> None:
    job = factories.job(remote.owner)
    known = remote.get(f"{job.pk}")["revision"]
    began = time.monotonic()
    assert remote.get(f"{job.pk}/status?wait=20&revision={known - 1}")["revision"] == known
    assert time.monotonic() - began < WOKEN_S
    rename = lambda: remote.user.patch(f"/mags-jobs/{job.pk}", json={"name": "n"})  # noqa: E731
    path = f"{job.pk}/status?wait=20&revision={known}"
    answer, seconds = while_waiting(lambda: remote.get(path), rename)
    assert (answer["name"], seconds < WOKEN_S) == ("n", True)


def test_status_of_an_ended_job_with_a_revision_waits_for_the_next(remote: Remote) -> None:
    """Its sandbox may go on: whoever wakes that sleeps no shorter for the script's being over."""
    job = factories.job(remote.owner)
    remote.agent.run(job)
    known = remote.get(f"{job.pk}")["revision"]
    rename = lambda: remote.user.patch(f"/mags-jobs/{job.pk}", json={"name": "n"})  # noqa: E731
    path = f"{job.pk}/status?wait=20&revision={known}"
    answer, seconds = while_waiting(lambda: remote.get(path), rename)
    assert (answer["status"], answer["name"], seconds < WOKEN_S) == ("completed", "n", True)


def test_logs_wait_for_output_and_for_the_end(remote: Remote) -> None:
    job = factories.job(remote.owner)
    lease = lease_of(job)
    write = lambda: remote.agent.report(log(lease, 0, b"hi\n"))  # noqa: E731
    answer, seconds = while_waiting(lambda: remote.get(f"{job.pk}/logs?offset=0&wait=20"), write)
    assert ([entry["message"] for entry in answer["logs"]], answer["end"]) == (["hi"], None)
    assert seconds < WOKEN_S
    end = lambda: remote.agent.report(finished(lease, 3, exit_code=9))  # noqa: E731
    answer, seconds = while_waiting(lambda: remote.get(f"{job.pk}/logs?offset=3&wait=20"), end)
    assert (answer["logs"], answer["end"]["exit_code"]) == ([], 9)
    assert seconds < WOKEN_S


def test_many_waiting_calls_do_not_stop_others(remote: Remote) -> None:
    """Waiting holds no thread of the server: there are more who wait than threads."""
    job = factories.job(remote.owner)
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(remote.get, f"{job.pk}/logs?offset=0&wait=20") for _ in range(40)]
        began = time.monotonic()
        remote.agent.run(Job.objects.get(pk=job.pk), b"done\n")
        assert all(call.result()["logs"] for call in waiting)
        assert time.monotonic() - began < 4 * WOKEN_S


def test_a_websocket_of_the_running_server(remote: Remote, web: Any) -> None:
    job = factories.job(remote.owner, name="streamed")
    lease = lease_of(job)
    _, token = token_create(remote.owner, "socket")
    with connect(f"{web.url.replace('http', 'ws')}/ws/jobs/streamed/logs?offset=0") as socket:
        socket.send(json.dumps({"type": "auth", "token": token}))
        assert json.loads(socket.recv(5))["job"]["status"] == "accepted"
        began = time.monotonic()
        remote.agent.report(started(lease), log(lease, 0, b"line\n"))
        heard = [json.loads(socket.recv(5)) for _ in range(2)]
        assert time.monotonic() - began < WOKEN_S
        assert [message["type"] for message in heard] == ["status", "logs"]
        remote.agent.report(finished(lease, 5))
        while (message := json.loads(socket.recv(5)))["type"] != "end":
            pass
        assert message["job"]["exit_code"] == 0
        with pytest.raises(ConnectionClosedOK):
            socket.recv(5)
