"""The bucket, on a real S3 server."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.workspaces.factories import request
from workspaces import keys, objectstore
from workspaces.errors import ObjectStoreRefused, ObjectStoreUnavailable

BODY = b"some bytes"
NAME = hashlib.sha256(BODY).hexdigest()
KEY = keys.object_key("u1", NAME)


def test_what_is_put_is_read(bucket: str) -> None:
    assert objectstore.get(KEY, 100) is None
    assert objectstore.size_of(KEY) is None
    assert objectstore.stream(KEY) is None
    assert objectstore.put_new(KEY, BODY)
    assert objectstore.get(KEY, 100) == BODY
    assert objectstore.get(KEY, 3) == BODY[:4]  # one more than the limit, which says that there is more
    assert objectstore.size_of(KEY) == len(BODY)
    assert b"".join(objectstore.chunks(objectstore.stream(KEY))) == BODY


def test_an_object_is_never_overwritten(bucket: str) -> None:
    assert objectstore.put_new(KEY, BODY)
    assert not objectstore.put_new(KEY, b"other")
    assert objectstore.get(KEY, 100) == BODY


def test_walk_and_delete(bucket: str) -> None:
    wanted = [f"u1/objects/{n:064d}" for n in range(5)]
    for key in [*wanted, "u12/objects/x", "u1/files/x"]:
        objectstore.put_new(key, b"xy")
    found = list(objectstore.walk("u1/objects/"))
    assert [(entry.key, entry.size_bytes) for entry in found] == [(key, 2) for key in wanted]
    objectstore.delete([*wanted, "u1/objects/never-was"])
    assert list(objectstore.walk("u1/objects/")) == []
    assert objectstore.size_of("u12/objects/x") == 2
    objectstore.delete([])


def test_a_signed_put_takes_one_content_once(bucket: str) -> None:
    signed = objectstore.sign_put(KEY, NAME, len(BODY))
    refused = [
        (BODY[:-1], signed.headers | {"Content-Length": str(len(BODY) - 1)}),  # another length
        (BODY[:-1] + b"!", signed.headers),  # another content
        (BODY, {name: text for name, text in signed.headers.items() if name != "If-None-Match"}),
        (BODY, {name: text for name, text in signed.headers.items() if "checksum" not in name}),
    ]
    for body, headers in refused:
        status, _ = request("PUT", signed.url, body, headers)
        assert status in {400, 403}, (status, headers)
        assert objectstore.size_of(KEY) is None
    assert request("PUT", signed.url, BODY, signed.headers)[0] == 200
    assert request("PUT", signed.url, BODY, signed.headers)[0] == 412
    assert objectstore.get(KEY, 100) == BODY


def test_a_signed_get_reads_one_object(bucket: str) -> None:
    objectstore.put_new(KEY, BODY)
    url = objectstore.sign_get(KEY)
    assert request("GET", url) == (200, BODY)
    assert request("GET", url, headers={"Range": "bytes=5-"}) == (206, BODY[5:])
    assert request("GET", url.replace(NAME, "0" * 64))[0] == 403
    assert request("PUT", url, b"x")[0] == 403
    assert request("GET", objectstore.sign_get("u1/objects/nothing"))[0] == 404


def test_hosts_get_their_own_address(bucket: str, settings: Any) -> None:
    settings.S3_HOST_ENDPOINT = "http://s3.example:9000"
    assert objectstore.sign_get(KEY).startswith(f"http://s3.example:9000/{bucket}/u1/objects/")


def test_the_bucket_is_made_once(bucket: str, settings: Any) -> None:
    assert not objectstore.bucket_create()
    settings.S3_BUCKET = bucket + "-new"
    call_command("bucket_create")
    call_command("bucket_create")
    assert objectstore.put_new(KEY, BODY)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_store_that_is_away(bucket: str, settings: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.S3_ENDPOINT = f"http://127.0.0.1:{probe.getsockname()[1]}"  # nobody listens there
        for call in (
            lambda: objectstore.get(KEY, 1),
            lambda: objectstore.size_of(KEY),
            lambda: objectstore.put_new(KEY, b"x"),
            lambda: list(objectstore.walk("u1/")),
            lambda: objectstore.delete([KEY]),
        ):
            with pytest.raises(ObjectStoreUnavailable) as caught:
                call()
            assert (caught.value.status, caught.value.code) == (503, "object_store_unavailable")
            assert caught.value.retryable
        with pytest.raises(CommandError, match="does not answer"):
            call_command("bucket_create")


def test_a_store_that_is_silent(
    bucket: str, settings: Any, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objectstore, "READ_TIMEOUT_S", 0.1)
    settings.S3_ENDPOINT = f"http://127.0.0.1:{silent_port}"
    with pytest.raises(ObjectStoreUnavailable):
        objectstore.get(KEY, 1)


def test_a_store_that_refuses_us(bucket: str, settings: Any) -> None:
    settings.S3_SECRET_KEY = "wrong"
    with pytest.raises(ObjectStoreRefused):
        objectstore.put_new(KEY, BODY)
    settings.S3_ACCESS_KEY = ""
    with pytest.raises(ObjectStoreRefused, match="No object store"):
        objectstore.get(KEY, 1)
