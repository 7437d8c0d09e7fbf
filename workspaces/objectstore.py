"""The bucket: all that S3 is asked, each call bounded in time, each failure in our own words.

Two failures are told apart: the store does not answer (`ObjectStoreUnavailable`, worth another try)
and the store refuses us (`ObjectStoreRefused`, not worth one).
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import IO, Any

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from workspaces.errors import ObjectStoreRefused, ObjectStoreUnavailable
from workspaces.limits import SIGNED_FOR_S

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 10
ATTEMPTS = 3  # with botocore's pauses between them: a call ends within 40 s, whatever the store does
CONNECTIONS = 32  # more than a web process has threads
DELETE_LIMIT = 1000  # keys of one request, S3's own limit
CHUNK_BYTES = 256 * 1024
# 8 MiB a part, two at a time: an upload holds 16 MiB in memory, whatever its size.
UPLOAD = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20, max_concurrency=2)
UPLOAD.max_in_memory_upload_chunks = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing shows it."""

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class SignedPut:
    """An address that takes exactly one content, once. `headers` must be sent as they are."""

    url: str
    headers: dict[str, str]


def bucket_create() -> bool:
    """Make the bucket. False: it is there already."""
    with _translated():
        try:
            _client().head_bucket(Bucket=settings.S3_BUCKET)
        except ClientError as error:
            if _status(error) != 404:
                raise
        else:
            return False
        try:
            _client().create_bucket(Bucket=settings.S3_BUCKET, **_location())
        except ClientError as error:
            if _status(error) != 409:  # somebody else was first
                raise
    return True


def get(key: str, limit_bytes: int) -> bytes | None:
    """An object's bytes, one more than the limit at most; None where there is no such object."""
    tries = ATTEMPTS
    while (opened := stream(key)) is not None:
        tries -= 1
        try:
            with _translated():
                return b"".join(_read(opened, limit_bytes + 1))
        except ObjectStoreUnavailable:  # botocore begins again only until the first byte has come
            if not tries:
                raise
    return None


def stream(key: str) -> Any:
    """An object to read from, piece by piece (`chunks`); None where there is no such object."""
    with _translated():
        try:
            return _client().get_object(Bucket=settings.S3_BUCKET, Key=key)["Body"]
        except ClientError as error:
            if _status(error) == 404:
                return None
            raise


def chunks(body: Any) -> Iterator[bytes]:
    """What `stream` opened, in pieces."""
    with _translated():
        yield from _read(body, None)


def size_of(key: str) -> int | None:
    """How large an object is; None where there is no such object."""
    with _translated():
        try:
            found = _client().head_object(Bucket=settings.S3_BUCKET, Key=key)
        except ClientError as error:
            if _status(error) == 404:
                return None
            raise
        size: int = found["ContentLength"]
        return size


def put_new(key: str, body: bytes) -> bool:
    """Write an object unless there is one. False: there is one already, or an earlier try of ours,
    whose answer was lost, wrote it."""
    with _translated():
        try:
            _client().put_object(Bucket=settings.S3_BUCKET, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if _status(error) in {409, 412}:
                return False
            raise
    return True


def upload(key: str, body: IO[bytes]) -> None:
    """Write an object of any size from an open file, in parts."""
    with _translated():
        _client().upload_fileobj(body, settings.S3_BUCKET, key, Config=UPLOAD)


def walk(prefix: str) -> Iterator[Entry]:
    """All objects whose key begins so, in order of their keys."""
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=settings.S3_BUCKET, Prefix=prefix)
    with _translated():
        for page in pages:
            for found in page.get("Contents", ()):
                yield Entry(found["Key"], found["Size"], found["LastModified"])


def delete(keys: Iterable[str]) -> None:
    """Remove objects; those that do not exist are fine. Raises unless all of them are gone."""
    rest = list(keys)
    while rest:
        some, rest = rest[:DELETE_LIMIT], rest[DELETE_LIMIT:]
        wanted = {"Objects": [{"Key": key} for key in some], "Quiet": True}
        with _translated():
            answer = _client().delete_objects(Bucket=settings.S3_BUCKET, Delete=wanted)
        if answer.get("Errors"):
            raise ObjectStoreUnavailable(f"{len(answer['Errors'])} objects could not be removed.")


def sign_get(key: str) -> str:
    """An address from which a host reads an object for SIGNED_FOR_S seconds."""
    return _signed("get_object", {"Key": key})


def sign_put(key: str, sha256: str, size_bytes: int) -> SignedPut:
    """An address to which a host writes an object: only where there is none, only with this size, and
    only with bytes of this digest. All three are signed and checked by the store."""
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    wanted = {"Key": key, "IfNoneMatch": "*", "ContentLength": size_bytes, "ChecksumSHA256": digest}
    headers = {"If-None-Match": "*", "Content-Length": str(size_bytes), "x-amz-checksum-sha256": digest}
    return SignedPut(_signed("put_object", wanted), headers)


def _signed(call: str, wanted: dict[str, Any]) -> str:
    client = _client(settings.S3_HOST_ENDPOINT)
    url: str = client.generate_presigned_url(
        call, Params={"Bucket": settings.S3_BUCKET, **wanted}, ExpiresIn=SIGNED_FOR_S
    )
    return url


def _read(body: Any, limit_bytes: int | None) -> Iterator[bytes]:
    left = limit_bytes
    with body:
        while left is None or left > 0:
            piece = body.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
            if not piece:
                return
            left = None if left is None else left - len(piece)
            yield piece


def _location() -> dict[str, Any]:
    """S3 wants every region named but its first."""
    if settings.S3_REGION == "us-east-1":
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": settings.S3_REGION}}


def _client(endpoint: str = "") -> Any:
    if not (settings.S3_ACCESS_KEY and settings.S3_SECRET_KEY):
        raise ObjectStoreRefused("No object store is set up: MAGS_S3_ACCESS_KEY is empty.")
    return _made(
        endpoint or settings.S3_ENDPOINT, settings.S3_REGION, settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY
    )


@lru_cache(maxsize=8)
def _made(endpoint: str, region: str, access_key: str, secret_key: str) -> Any:
    """A client is safe to share among threads and slow to make."""
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": "path"},  # an endpoint may be a bare address
        # Trailing checksums are not understood by every store; ours are in names and manifests.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        logger.warning("object store: %s", error)
        status = _status(error)
        if status >= 500 or status == 429:
            raise ObjectStoreUnavailable(retry_after_s=1) from error
        raise ObjectStoreRefused from error
    except (BotoCoreError, S3UploadFailedError) as error:
        logger.warning("object store: %s", error)
        raise ObjectStoreUnavailable(retry_after_s=1) from error


def _status(error: ClientError) -> int:
    status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status
