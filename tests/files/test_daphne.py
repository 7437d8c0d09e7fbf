"""Uploads and downloads through the real server."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.services import token_create
from files.models import Upload
from tests.files.conftest import FILE_LIMIT_MB
from tests.jobs.factories import user
from tests.servers import WebServer

MB = 1024 * 1024
BOUNDARY = "a-boundary-that-random-bytes-do-not-hold"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def peak_memory_mb(server: WebServer) -> int:
    """The most memory that the server ever had."""
    assert server._process is not None
    status = Path(f"/proc/{server._process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


def send(server: WebServer, token: str, size_mb: int, *, is_chunked: bool = False) -> tuple[int, Any, str]:
    """(status, answer, SHA-256 of what was sent) of an upload of random bytes."""
    digest = hashlib.sha256()
    piece = os.urandom(MB)

    def body() -> Iterator[bytes]:
        yield HEAD
        for _ in range(size_mb):
            digest.update(piece)
            yield piece
        yield TAIL

    form = f"multipart/form-data; boundary={BOUNDARY}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": form}
    if not is_chunked:
        headers["Content-Length"] = str(len(HEAD) + size_mb * MB + len(TAIL))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/api/v1/mags-files", body(), headers, encode_chunked=is_chunked)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, json.loads(answer), digest.hexdigest()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
def test_a_large_file_passes_without_being_held_in_memory(upload_server: WebServer, is_chunked: bool) -> None:
    _, token = token_create(user(), "test")
    assert send(upload_server, token, 1)[0] == 201  # what the first upload loads is not the file's
    before = peak_memory_mb(upload_server)
    status, answer, digest = send(upload_server, token, FILE_LIMIT_MB, is_chunked=is_chunked)
    assert status == 201, answer
    assert (answer["size"], answer["sha256"]) == (FILE_LIMIT_MB * MB, digest)
    assert peak_memory_mb(upload_server) - before < FILE_LIMIT_MB // 2
    assert download(upload_server, token, answer["file_id"]) == (200, digest, FILE_LIMIT_MB * MB)
    assert peak_memory_mb(upload_server) - before < FILE_LIMIT_MB // 2


def download(server: WebServer, token: str, file_id: str) -> tuple[int, str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(
        "GET", f"/api/v1/mags-files/{file_id}/content", headers={"Authorization": f"Bearer {token}"}
    )
    response = connection.getresponse()
    assert response.headers["Content-Disposition"] == 'attachment; filename="big.bin"'
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    digest, size = hashlib.sha256(), 0
    while piece := response.read(MB):
        digest.update(piece)
        size += len(piece)
    connection.close()
    return response.status, digest.hexdigest(), size


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
def test_over_the_limit_is_413(upload_server: WebServer, is_chunked: bool) -> None:
    _, token = token_create(user(), "test")
    status, answer, _ = send(upload_server, token, FILE_LIMIT_MB + 1, is_chunked=is_chunked)
    assert (status, answer["code"]) == (413, "too_large")
    assert not Upload.objects.exists()
    assert send(upload_server, token, 1)[0] == 201


def test_a_stranger_is_refused_and_the_server_goes_on(upload_server: WebServer) -> None:
    status, answer, _ = send(upload_server, "mags_wrong", 2)
    assert (status, answer["code"]) == (401, "bad_token")
    _, token = token_create(user(), "test")
    assert send(upload_server, token, 1)[0] == 201
