"""Objects of a tenant in the bucket, through URLs that the control plane signs. The agent has no keys."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, TypeVar

import aiohttp

from hostagent.backoff import Backoff
from hostagent.errors import Unreachable
from hostagent.volumes.errors import ObjectMissing, ObjectWrong, StorageRefused, StorageUnavailable
from hostagent.volumes.signing import Sign, Signer

T = TypeVar("T")
_STORED = {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT}
# 403: the signature is too old by now. 409: S3's answer to two conditional puts at one time.
_TRY_AGAIN = {
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
# A store in trouble may deny what it has, and a line may garble it: only the third time is it true.
DENIALS = 3


class ObjectStore(Protocol):
    async def put(self, sha256: str, data: bytes) -> None:
        """Store `data` under its own sum. Returns when it is durable; it may have been there before."""

    async def get(self, sha256: str, limit_bytes: int) -> bytes:
        """The object, checked against its sum; ObjectMissing, ObjectWrong."""


@dataclass(frozen=True, slots=True)
class Patience:
    connect_s: float = 10.0
    stall_s: float = 30.0  # this long without a byte is a dead connection
    slowest_bytes_s: int = 64 << 10  # slower than that, an attempt is given up
    give_up_s: float = 60.0  # for one object, from the first attempt on


PATIENCE = Patience()


class _Again(Exception):
    """An attempt failed that may succeed the next time."""


def _nobody(error: Exception) -> None:
    """Nobody wants to know."""


class SignedObjects:
    """`ObjectStore` over HTTP. Every call repeats itself until it is done or `Patience.give_up_s` is over;
    `on_failure` hears of each attempt that failed and is repeated."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        sign: Sign,
        patience: Patience = PATIENCE,
        on_failure: Callable[[Exception], None] = _nobody,
    ) -> None:
        self._session = session
        self._signer = Signer(sign)
        self._patience = patience
        self._on_failure = on_failure

    async def put(self, sha256: str, data: bytes) -> None:
        await self._repeat(f"put {sha256}", lambda: self._put(sha256, data))

    async def get(self, sha256: str, limit_bytes: int) -> bytes:
        denials = 0

        async def attempt() -> bytes:
            nonlocal denials
            try:
                return await self._get(sha256, limit_bytes)
            except (ObjectMissing, ObjectWrong) as error:
                denials += 1
                if denials < DENIALS:
                    raise _Again(str(error)) from error
                raise

        return await self._repeat(f"get {sha256}", attempt)

    async def _repeat(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        deadline = time.monotonic() + self._patience.give_up_s
        backoff = Backoff()
        while True:
            try:
                return await attempt()
            except (_Again, Unreachable, aiohttp.ClientError, TimeoutError, OSError) as error:
                if time.monotonic() > deadline:
                    raise StorageUnavailable(f"{what}: {type(error).__name__}: {error}") from error
                self._on_failure(error)
            await asyncio.sleep(backoff.next_s())

    async def _put(self, sha256: str, data: bytes) -> None:
        url, headers = await self._signer.put(sha256, len(data))
        body = io.BytesIO(data)  # handed to the socket in pieces, between which others run
        async with self._session.put(
            url, data=body, headers=headers, timeout=self._timeout(len(data)), allow_redirects=False
        ) as response:
            # 412: it is there. Objects are named by their content, so it is this one.
            if response.status not in _STORED and response.status != HTTPStatus.PRECONDITION_FAILED:
                raise await _trouble(response, f"put {sha256}")

    async def _get(self, sha256: str, limit_bytes: int) -> bytes:
        url = await self._signer.get(sha256)
        async with self._session.get(
            url, timeout=self._timeout(limit_bytes), allow_redirects=False
        ) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                raise ObjectMissing("is not in the bucket")
            if response.status != HTTPStatus.OK:
                raise await _trouble(response, f"get {sha256}")
            return await _body(response, sha256, limit_bytes)

    def _timeout(self, size: int) -> aiohttp.ClientTimeout:
        patience = self._patience
        return aiohttp.ClientTimeout(
            total=patience.stall_s + size / patience.slowest_bytes_s,
            sock_connect=patience.connect_s,
            sock_read=patience.stall_s,
        )


async def _body(response: aiohttp.ClientResponse, sha256: str, limit_bytes: int) -> bytes:
    digest = hashlib.sha256()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        digest.update(part)
        parts.append(part)
        size += len(part)
        if size > limit_bytes:
            raise ObjectWrong(f"has more than {limit_bytes} bytes")
    if digest.hexdigest() != sha256:
        raise ObjectWrong(f"holds {size} bytes with another sha256")
    return b"".join(parts)


async def _trouble(response: aiohttp.ClientResponse, what: str) -> Exception:
    said = (await response.content.read(500)).decode(errors="replace")
    text = f"{what}: {response.status} {said}"
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status in _TRY_AGAIN:
        return _Again(text)
    return StorageRefused(text)
