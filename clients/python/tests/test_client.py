"""The SDK against a server, over real HTTP."""

from __future__ import annotations

import asyncio
import inspect
import threading
from datetime import datetime, timezone

import pytest
from fake_server import TOKEN, FakeServer

from mags import AsyncMags, Mags, MagsError
from mags.wire import entry_bytes


def test_run_answers_at_once_with_the_id(server: FakeServer, client: Mags) -> None:
    answer = client.run("sleep 30", name="nap", environment={"A": "b"}, memory_mb=64, timeout_s=9)
    assert answer["status"] == "accepted"
    assert server.jobs[answer["request_id"]].sent == {
        "script": "sleep 30",
        "type": "inline",
        "name": "nap",
        "environment": {"A": "b"},
        "memory_mb": 64,
        "timeout": 9,
    }
    client.stop("nap")


def test_run_and_wait_answers_like_the_published_client(client: Mags) -> None:
    result = client.run_and_wait("echo out; exit 3", name="three")
    assert (result["status"], result["exit_code"], result["reason"]) == ("completed", 3, "")
    assert result["duration_ms"] == 1234
    assert [entry["message"] for entry in result["logs"]] == ["out"]


def test_run_and_wait_sees_the_end_in_one_request(server: FakeServer, client: Mags) -> None:
    client.run_and_wait("sleep 0.3; echo done", poll_interval=20)
    assert sum(path.startswith("GET") and "/logs" in path for path in server.paths) <= 2
    assert server.connections == 1


def test_run_and_wait_gives_up_in_time_and_leaves_the_job(server: FakeServer, client: Mags) -> None:
    server.runs_scripts = False
    with pytest.raises(MagsError, match=r"has not ended after 0\.2 s") as caught:
        client.run_and_wait("sleep 30", timeout=0.2)
    assert caught.value.code == "wait_timed_out"
    assert not server.next_job().is_final


def test_waiting_counts_on_top_of_the_timeout(server: FakeServer) -> None:
    server.runs_scripts = False
    with Mags(TOKEN, server.url, timeout=0.3, retry_for=0, reconnect_for=0) as hasty:
        request_id = hasty.run("x")["request_id"]
        page = hasty.logs(request_id, wait=0.6)
    assert page["logs"] == []


def test_status_logs_list_find_rename_stop(client: Mags) -> None:
    request_id = client.run_and_wait("echo a; echo b >&2", name="old")["request_id"]
    assert client.status(request_id)["exit_code"] == 0
    assert {entry["stream"] for entry in client.logs("old")["logs"]} == {"stdout", "stderr"}
    assert client.update_job("old", name="new")["name"] == "new"
    found = client.find_job("new")
    assert found is not None
    assert found["request_id"] == request_id
    assert client.find_job("old") is None
    assert client.stop("new")["status"] == "completed"
    listed = client.list_jobs(page_size=1)
    assert (listed["total"], listed["jobs"][0]["name"]) == (1, "new")


def test_account_and_tokens(client: Mags) -> None:
    assert client.whoami()["email"] == "you@example.org"
    made = client.token_create("ci", expires_at=datetime(2027, 1, 1, tzinfo=timezone.utc))
    assert (made["name"], made["expires_at"]) == ("ci", "2027-01-01T00:00:00+00:00")
    assert "token" not in client.token_list()["tokens"][0]
    client.token_revoke(1)


def test_error_carries_what_the_server_said(client: Mags) -> None:
    with pytest.raises(MagsError) as caught:
        client.status("nobody")
    error = caught.value
    assert (error.status, error.status_code, error.code, error.request_id) == (404, 404, "not_found", "req-1")
    assert error.remediation == "Check the name or id."
    assert str(error) == "There is no such thing here."


@pytest.mark.parametrize("job", ["", ".", ".."])
def test_no_job_named_is_an_error_before_any_request(server: FakeServer, client: Mags, job: str) -> None:
    with pytest.raises(MagsError, match="Name a job"):
        client.status(job)
    assert server.paths == []


def test_name_of_a_job_cannot_reach_another_path(server: FakeServer, client: Mags) -> None:
    with pytest.raises(MagsError):
        client.status("../auth/me?x=#y")
    assert server.paths == ["GET /api/v1/mags-jobs/..%2Fauth%2Fme%3Fx%3D%23y/status"]


def test_script_that_is_not_text_is_refused_here(server: FakeServer, client: Mags) -> None:
    with pytest.raises(MagsError, match="not UTF-8"):
        client.run("echo \udcff")
    assert server.paths == []


def test_follow_is_live_and_exact(server: FakeServer, client: Mags) -> None:
    server.runs_scripts = False
    request_id = client.run("x")["request_id"]
    job = server.jobs[request_id]
    entries = client.follow(request_id)
    parts = [b"one\n", b"no newline", b" yet\n", b"\xff\xfe\r\n", b"\xc3", b"\xa9\n", b"\n", b"end"]
    got = []
    for part in parts:  # each is read before the next exists
        job.emit(part)
        got.append(entry_bytes(next(entries)))
    job.finish(7)
    assert list(entries) == []
    assert got == parts


def test_follow_goes_on_after_lost_connections_without_loss_or_doubling(
    server: FakeServer, client: Mags
) -> None:
    server.runs_scripts = False
    request_id = client.run("x")["request_id"]
    job = server.jobs[request_id]
    server.trouble("logs", "drop", times=2)
    server.trouble("logs", "cut", times=2)
    server.trouble("logs", "503")

    def produce() -> None:
        for number in range(200):
            job.emit(b"%d\n" % number)
        job.finish()

    producer = threading.Thread(target=produce)
    producer.start()
    assert [entry["message"] for entry in client.follow(request_id)] == [str(number) for number in range(200)]
    producer.join()
    assert server.troubles == []


def test_async_client_does_the_same(server: FakeServer) -> None:
    async def scenario() -> None:
        async with AsyncMags(TOKEN, server.url) as mags:
            results = await asyncio.gather(*(mags.run_and_wait(f"echo {n}; exit {n}") for n in range(4)))
            assert [(r["exit_code"], r["logs"][0]["message"]) for r in results] == [
                (n, str(n)) for n in range(4)
            ]
            submitted = await mags.run("echo a; echo b", name="ab")
            lines = [entry["message"] async for entry in mags.follow(submitted["request_id"])]
            assert lines == ["a", "b"]
            assert await mags.find_job("nobody") is None
            with pytest.raises(MagsError):
                await mags.status("nobody")

    asyncio.run(scenario())


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name.removeprefix("a") if name == "aclose" else name: list(inspect.signature(value).parameters)
            for name, value in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(Mags) == calls(AsyncMags)


def test_one_client_serves_many_threads(server: FakeServer, client: Mags) -> None:
    outputs: list[str] = []

    def work(number: int) -> None:
        outputs.append(client.run_and_wait(f"echo {number}")["logs"][0]["message"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outputs) == [str(number) for number in range(8)]
