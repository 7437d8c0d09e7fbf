"""Clients that go away while they are waited for: nothing of them stays in the server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from accounts.services import token_create
from tests.jobs import factories
from tests.servers import RedisServer, WebServer, database_url, free_ports

LONG_S = 60  # far longer than these tests last


@pytest.fixture
def watched(tmp_path: Path, redis: RedisServer, transactional_db: None) -> Iterator[WebServer]:
    own = {
        "MAGS_DATABASE_URL": database_url(),
        "MAGS_REDIS_URL": redis.url,
        "WATCHED_DIRECTORY": str(tmp_path),
    }
    with WebServer(*free_ports(1), own, "tests.core.watched:application") as server:
        yield server
        (tmp_path / "hold").unlink(missing_ok=True)  # a test that failed: no thread stays


def state(server: WebServer) -> Any:
    return httpx.get(f"{server.url}/watched", trust_env=False).json()


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG_S / 2
    while not is_so():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)


def waiting_client(server: WebServer) -> tuple[socket.socket, str]:
    """A connection on which the server is to answer in a minute, and the group it listens to."""
    job = factories.job()
    _, token = token_create(job.owner, "test")
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    path = f"/api/v1/mags-jobs/{job.pk}/status?wait={LONG_S}"
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    return connection, f"job.{job.pk}"


def test_who_goes_away_while_waiting_is_forgotten(watched: WebServer) -> None:
    client, group = waiting_client(watched)
    until(lambda: group in state(watched)["groups"])
    client.close()
    until(lambda: state(watched) == {"groups": [], "under_way": 0})
    assert "Traceback" not in watched.log()


def test_a_thread_that_outlives_its_request_listens_to_nothing(watched: WebServer, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    client, _ = waiting_client(watched)
    until((tmp_path / "entered").exists)
    client.close()
    until(lambda: state(watched)["under_way"] == 0)
    assert not (tmp_path / "passed").exists()
    (tmp_path / "hold").unlink()
    until((tmp_path / "passed").exists)
    assert state(watched) == {"groups": [], "under_way": 0}
    assert "Traceback" not in watched.log()
