"""The host API (docs/reference/host-api.md) over one HTTP session. Each call is one request; who calls,
repeats it (`hostagent.backoff`)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from hostagent import heldwire, imagewire, questionwire, wire
from hostagent.errors import ApiError, StaleBoot, StaleSandbox, Unreachable
from hostagent.volumes.signing import Signed

BASE = "/api/host/v1"
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024  # a boot answer with every lease's script
PIECEMEAL_BYTES = 512 * 1024  # a longer body is handed to the socket in pieces, between which others run
CONNECT_S = 10.0
CALL_S = 30.0
COMMIT_S = 300.0  # the server looks at each new object of a version
CONNECTIONS = 8
COMMITS_AT_ONCE = 4  # a slow store must not take the connections that heartbeats need
STALE = {"stale_lease", "head_moved"}
REPORT_S = 60.0  # megabytes of output over a slow line
POLL_WAIT_S = 30
POLL_SLACK_S = 15.0  # after this long without an answer that was due, the connection is taken for dead

T = TypeVar("T")


class Client:
    """Use as `async with`. `boot_epoch` is set by `boot` and sent with everything after."""

    def __init__(self, server_url: str, key: str = "") -> None:
        self._url = server_url.rstrip("/") + BASE
        self._key = key
        self._session: aiohttp.ClientSession | None = None
        self._storage: aiohttp.ClientSession | None = None
        self._commits = asyncio.Semaphore(COMMITS_AT_ONCE)
        self.boot_epoch = 0

    @property
    def storage(self) -> aiohttp.ClientSession:
        """For what has a signed address. It must not see our key."""
        if self._storage is None:
            raise RuntimeError("use the client as `async with`")
        return self._storage

    async def __aenter__(self) -> Client:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=60),
        )
        self._storage = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._session, self._storage):
            if session is not None:
                await session.close()

    async def enrol(self, token: str, name: str, agent_version: str) -> wire.Enrolment:
        body = {"token": token, "name": name, "agent_version": agent_version}
        return await self._call("POST", "/enrol", wire.Enrolment, wire.encode(body))

    async def boot(self, boot: wire.Boot) -> wire.BootAnswer:
        answer = await self._call("POST", "/boot", wire.BootAnswer, wire.encode(boot))
        self.boot_epoch = answer.boot_epoch
        return answer

    async def poll(self, after: int) -> wire.PollAnswer:
        """Waits on the server until something changed after revision `after`, or half a minute."""
        query = f"/poll?boot_epoch={self.boot_epoch}&after={after}&wait={POLL_WAIT_S}"
        return await self._call("GET", query, wire.PollAnswer, timeout_s=POLL_WAIT_S + POLL_SLACK_S)

    async def heartbeat(self, heartbeat: wire.Heartbeat) -> wire.HeartbeatAnswer:
        return await self._call("POST", "/heartbeat", wire.HeartbeatAnswer, wire.encode(heartbeat))

    async def report(self, items: list[wire.Item]) -> list[wire.Result]:
        body = wire.encode(wire.Report(self.boot_epoch, items))
        answer = await self._call("POST", "/report", wire.ReportAnswer, body, timeout_s=REPORT_S)
        if len(answer.results) != len(items):
            raise Unreachable(f"{len(answer.results)} results for {len(items)} items")
        return answer.results

    async def sign(
        self, key: heldwire.SandboxKey, get: Sequence[str], put: Sequence[tuple[str, int]]
    ) -> Signed:
        """Addresses of objects, for a sandbox that holds its workspace. StaleSandbox where it does not."""
        body = heldwire.ObjectsRequest(self.boot_epoch, key.sandbox_id, key.epoch, get, put)
        return await self._call_for_sandbox("/objects", Signed, body)

    async def sign_reads(self, question: int, get: Sequence[str]) -> Signed:
        """Addresses of objects to read, for a question that this host was asked."""
        body = questionwire.ReadRequest(self.boot_epoch, question, get)
        return await self._call("POST", "/objects", Signed, wire.encode(body))

    async def answer(self, question: int, answer: questionwire.Answer) -> None:
        body = questionwire.AnswerRequest(self.boot_epoch, question, answer)
        await self._call("POST", "/answers", questionwire.Accepted, wire.encode(body), timeout_s=REPORT_S)

    async def sign_images(self, get: Sequence[str], put: Sequence[tuple[str, int]]) -> Signed:
        """Addresses of images' objects. To put them is a right that few hosts have."""
        body = imagewire.ImageObjectsRequest(get, put)
        return await self._call("POST", "/images/objects", Signed, wire.encode(body))

    async def build(self, image: str, build: str) -> imagewire.Build:
        """A published build. ApiError `build_not_found` where it is not published."""
        query = urlencode({"image": image, "build": build})
        return await self._call("GET", f"/images/builds?{query}", imagewire.Build)

    async def publish(self, build: imagewire.PublishRequest) -> imagewire.Build:
        """Publish a build; durable when this returns."""
        body = wire.encode(build)
        return await self._call("POST", "/images/builds", imagewire.Build, body, timeout_s=COMMIT_S)

    async def commit(self, version: heldwire.VersionRequest) -> heldwire.Receipt:
        """Publish a version; durable when this returns. StaleSandbox where it must not be."""
        async with self._commits:
            return await self._call_for_sandbox("/versions", heldwire.Receipt, version, timeout_s=COMMIT_S)

    async def _call_for_sandbox(self, path: str, kind: type[T], body: Any, *, timeout_s: float = CALL_S) -> T:
        try:
            return await self._call("POST", path, kind, wire.encode(body), timeout_s=timeout_s)
        except ApiError as error:
            if error.status == 409 and error.code in STALE:
                raise StaleSandbox(error.message) from error
            raise

    async def _call(
        self, method: str, path: str, kind: type[T], body: bytes | None = None, *, timeout_s: float = CALL_S
    ) -> T:
        if self._session is None:
            raise RuntimeError("use the client as `async with`")
        payload = io.BytesIO(body) if body is not None and len(body) > PIECEMEAL_BYTES else body
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_S)
        try:
            async with self._session.request(
                method, self._url + path, data=payload, timeout=timeout, allow_redirects=False
            ) as response:
                status, data = response.status, await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        return _answer(status, data, kind)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > ANSWER_LIMIT_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {ANSWER_LIMIT_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _answer(status: int, data: bytes, kind: type[T]) -> T:
    try:
        if 200 <= status < 300:
            return msgspec.json.decode(data, type=kind)
        refusal = msgspec.json.decode(data, type=wire.Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if 200 <= status < 300 or status >= 500:
            raise Unreachable(f"{status} with a body that is not of the host API: {error}") from error
        refusal = wire.Refusal(data[:200].decode(errors="replace"), "unknown")
    if status == 409 and refusal.code == "stale_boot":
        raise StaleBoot(
            "another life of this agent has booted", "see that one agent runs per state directory"
        )
    if status >= 500 or status in (408, 429):
        raise Unreachable(f"{status} {refusal.code}: {refusal.error}")
    raise ApiError(status, refusal.code, refusal.error, refusal.remediation)
