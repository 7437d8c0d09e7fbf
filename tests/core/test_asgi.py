"""The control plane under daphne: what only a real server shows."""

from __future__ import annotations

import http.client
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection

from tests.accounts import factories
from tests.servers import PostgresServer, RedisServer, WebServer

ME = "/api/v1/auth/me"
TOKENS = "/api/v1/auth/tokens"


@pytest.fixture
def api(web: WebServer) -> Iterator[httpx.Client]:
    text = factories.token_of(factories.user())[1]
    headers = {"Authorization": f"Bearer {text}"}
    with httpx.Client(base_url=web.url, headers=headers, trust_env=False) as client:
        yield client


def raw(web: WebServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as plain:
        plain.sendall(request)
        answer = b""
        while chunk := plain.recv(65536):
            answer += chunk
    return answer


def test_answers_carry_their_headers(api: httpx.Client) -> None:
    answer = api.get(ME)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert api.get(ME, headers={"X-Request-Id": "my-request-1"}).headers["X-Request-Id"] == "my-request-1"


def test_pages_carry_theirs(web: WebServer) -> None:
    answer = httpx.get(f"{web.url}/admin/login/", trust_env=False)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Request-Id"]


def test_published_clients_empty_bodies_are_fine(api: httpx.Client) -> None:
    answer = api.request("GET", ME, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert (
        api.request("GET", ME, headers={"Content-Type": "application/json"}, content=b"").status_code == 200
    )


def test_chunked_body_is_read(api: httpx.Client) -> None:
    def chunks() -> Any:
        yield b'{"name": '
        yield b'"chunked"}'

    answer = api.post(TOKENS, content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    assert answer.json()["name"] == "chunked"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("size", [settings.BODY_LIMIT_BYTES + 1, settings.HOST_BODY_LIMIT_BYTES + 10_000_000])
def test_too_large_bodies_are_413(api: httpx.Client, is_chunked: bool, size: int) -> None:
    body: Any = (b"x" * size for _ in range(1)) if is_chunked else b"x" * size
    answer = api.post(TOKENS, content=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert api.get(ME).status_code == 200


def test_body_at_the_limit_is_read(api: httpx.Client) -> None:
    padding = " " * (settings.BODY_LIMIT_BYTES - len('{"name": "x"}'))
    answer = api.post(TOKENS, content='{"name": "x"}' + padding, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [("[" * 10_000, "malformed_json"), ('{"a":' * 10_000, "malformed_json"), ("{", "malformed_json")],
)
def test_malformed_bodies_are_400(api: httpx.Client, body: str, code: str) -> None:
    answer = api.post(TOKENS, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_foreign_host_name_is_refused(api: httpx.Client) -> None:
    answer = api.get(ME, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_host")
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"]


def test_root_path_header_moves_nothing(api: httpx.Client, web: WebServer) -> None:
    # Daphne believes this header; it must not carry a page past the CSRF middleware.
    answer = api.post("/api/v1/admin/login/", headers={"Daphne-Root-Path": "/api/v1"}, json={})
    assert answer.status_code == 404
    page = httpx.post(
        f"{web.url}/admin/login/",
        headers={"Daphne-Root-Path": "/admin"},
        data={"username": "x"},
        trust_env=False,
    )
    assert page.status_code == 403


def test_garbage_in_the_request_line_breaks_nothing(api: httpx.Client, web: WebServer) -> None:
    for request in (
        b"\x00\x01\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/%ff%fe HTTP/1.0\r\n\r\n",
    ):
        assert raw(web, request).split(b" ")[1].startswith(b"4")
    assert api.get(ME).status_code == 200


def test_database_connections_are_kept(api: httpx.Client, web: WebServer) -> None:
    with ThreadPoolExecutor(12) as threads:
        statuses = list(threads.map(lambda _: api.get(ME).status_code, range(300)))
    assert set(statuses) == {200}
    assert 1 <= _connections(web) <= settings.WEB_THREADS


def _connections(web: WebServer) -> int:
    """How many connections to the test's database the server holds."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])
    assert web._process is not None
    links = [descriptor.resolve() for descriptor in Path(f"/proc/{web._process.pid}/fd").iterdir()]
    return links.count(Path(settings.DATABASES["default"]["NAME"]))


def test_answers_while_redis_is_away(api: httpx.Client, web: WebServer, redis: RedisServer) -> None:
    assert httpx.get(f"{web.url}/readyz", trust_env=False).json()["redis"] == "ok"
    redis.stop(signal.SIGKILL)
    try:
        started = time.monotonic()
        assert {api.get(ME).status_code for _ in range(20)} == {200}
        assert time.monotonic() - started < 5
        answer = httpx.get(f"{web.url}/readyz", trust_env=False)
        assert (answer.status_code, answer.json()["redis"]) == (200, "degraded")
    finally:
        redis.start()


@pytest.mark.postgres
def test_restarted_postgresql_fails_no_request(api: httpx.Client, postgres_server: PostgresServer) -> None:
    assert {api.get(ME).status_code for _ in range(20)} == {200}
    connection.close()
    postgres_server.stop()
    postgres_server.start()
    assert {api.get(ME).status_code for _ in range(20)} == {200}


def test_client_that_leaves_early_harms_nobody(api: httpx.Client, web: WebServer) -> None:
    for _ in range(20):
        client = http.client.HTTPConnection("127.0.0.1", web.port)
        client.putrequest("POST", TOKENS)
        client.putheader("Content-Length", "1000")
        client.endheaders()
        client.send(b"{")
        client.close()
    assert api.get(ME).status_code == 200
    assert "Traceback" not in web.log()
