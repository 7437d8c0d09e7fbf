"""What is tried again, what is not, and what must never happen twice."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fake_server import TOKEN, FakeServer

from mags import Mags, MagsError, wire

SUBMIT = "POST /api/v1/mags-jobs$"


@pytest.mark.parametrize("trouble", ["drop", "cut", "502", "503", "504", "429"])
def test_submission_is_repeated_and_starts_one_job(server: FakeServer, client: Mags, trouble: str) -> None:
    server.trouble(SUBMIT, trouble, times=2)
    request_id = client.run("true")["request_id"]
    assert list(server.jobs) == [request_id]
    sent = [seen["idempotency-key"] for seen in server.headers_seen]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert len(sent[0]) >= 32


def test_two_submissions_are_two_jobs(server: FakeServer, client: Mags) -> None:
    assert client.run("true")["request_id"] != client.run("true")["request_id"]


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "409", "500", "501"])
def test_other_answers_are_final(server: FakeServer, client: Mags, status: str) -> None:
    server.trouble(SUBMIT, status)
    with pytest.raises(MagsError) as caught:
        client.run("true")
    assert caught.value.status == int(status)
    assert len(server.paths) == 1


def test_making_a_token_is_never_repeated(server: FakeServer, client: Mags) -> None:
    server.trouble("tokens", "cut")
    with pytest.raises(MagsError) as caught:
        client.token_create("ci")
    assert caught.value.code == "unreachable"
    assert len(server.paths) == 1


def test_retry_after_is_obeyed(server: FakeServer, client: Mags) -> None:
    server.trouble("auth/me", "429", headers={"Retry-After": "1"})
    began = time.monotonic()
    client.whoami()
    assert time.monotonic() - began >= 1


def test_retry_after_longer_than_our_patience_is_not_waited_for(server: FakeServer, client: Mags) -> None:
    server.trouble("auth/me", "429", headers={"Retry-After": "3600"})
    with pytest.raises(MagsError) as caught:
        client.whoami()
    assert caught.value.status == 429


def test_gives_up_when_patience_ends(server: FakeServer) -> None:
    server.trouble("auth/me", "503", times=100)
    told: list[str] = []
    began = time.monotonic()
    with (
        Mags(TOKEN, server.url, retry_for=1, on_retry=lambda error, _: told.append(error.code)) as client,
        pytest.raises(MagsError),
    ):
        client.whoami()
    assert time.monotonic() - began < 2
    assert told == ["busy"] * (len(server.paths) - 1)
    assert 2 <= len(told) <= 6


def test_pauses_grow_and_are_spread() -> None:
    error = MagsError("busy", status=503)
    pauses = [[wire.retry_delay(error, attempt, None) or 0 for _ in range(50)] for attempt in range(8)]
    assert all(0.1 <= pause <= 0.2 for pause in pauses[0])
    assert all(2.5 <= pause <= 5 for pause in pauses[7])
    assert all(len(set(each)) > 10 for each in pauses)


def test_server_that_is_not_there_is_said_to_be(server: FakeServer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with (
        Mags(TOKEN, url, retry_for=0.3) as client,
        pytest.raises(MagsError, match=f"Cannot reach {url}") as caught,
    ):
        client.whoami()
    assert (caught.value.code, caught.value.status) == ("unreachable", None)


def test_server_that_does_not_answer_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Mags(TOKEN, url, timeout=0.2, retry_for=0) as client, pytest.raises(MagsError) as caught:
            client.whoami()
    assert caught.value.code == "timeout"


@pytest.mark.parametrize("body", ["<html>hello</html>", "[1, 2]", '"text"', "\x00"])
def test_another_server_is_not_taken_for_mags(server: FakeServer, client: Mags, body: str) -> None:
    server.trouble("auth/me", "200", body=body)
    with pytest.raises(MagsError, match="did not answer like a Mags server"):
        client.whoami()


def test_error_page_of_a_proxy_is_not_quoted(server: FakeServer, client: Mags) -> None:
    server.trouble("auth/me", "500", body="<html>lots</html>", headers={"Content-Type": "text/html"})
    with pytest.raises(MagsError, match="answered with status 500"):
        client.whoami()


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another origin, and the requests that reached it."""
    reached: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            reached.append(str(self.rfile.readline()))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{listener.server_address[1]}/api/v1/auth/me", reached
        listener.shutdown()
        thread.join()


@pytest.mark.parametrize("status", ["301", "302", "307", "308"])
def test_token_does_not_follow_a_redirect(
    server: FakeServer, client: Mags, elsewhere: tuple[str, list[str]], status: str
) -> None:
    location, reached = elsewhere
    server.trouble("auth/me", status, headers={"Location": location})
    with pytest.raises(MagsError, match="Redirects are not followed") as caught:
        client.whoami()
    assert (caught.value.code, reached) == ("redirected", [])


def test_proxy_from_the_environment_is_used(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    with Mags(TOKEN, "http://mags.example.org") as client:
        assert client.whoami()["email"] == "you@example.org"
    assert server.headers_seen[0]["host"] == "mags.example.org"


def test_no_proxy_and_loopback_go_straight(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Mags(TOKEN, server.url, retry_for=0) as client:
        client.whoami()
