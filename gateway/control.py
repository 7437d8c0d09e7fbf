"""The control plane's gateway API (docs/reference/gateway-api.md), as this side calls it."""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import Annotated, Literal, Self, TypeVar

import aiohttp
import msgspec
from msgspec import Meta, Struct

from gateway.errors import ControlPlaneAway, NoSuchLabel, Stopped

LOOKUP_S = 3.0
CONNECT_S = 2.0
SLACK_S = 5.0  # over what a long poll was asked to wait
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024

_T = TypeVar("_T")

Kind = Literal["http", "ssh"]
State = Literal["running", "sleeping", "stopped", "starting"]
Port = Annotated[int, Meta(ge=1, le=65535)]


class Host(Struct, frozen=True):
    """Where a host's data port is."""

    address: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f:.]{2,45}\Z")]
    data_port: Port


class Route(Struct, frozen=True):
    """Where a label leads now. All but `state` and `max_age_s` only while it runs."""

    state: State
    max_age_s: Annotated[float, Meta(ge=0, le=3600)]
    host: Host | None = None
    sandbox_id: Annotated[str, Meta(pattern=r"^[a-z0-9]{16}\Z")] | None = None
    port: Port | None = None
    ticket: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,2048}\Z")] | None = None
    ticket_expires_at: int | None = None  # Unix ms
    settling_ms: Annotated[int, Meta(ge=0, le=600_000)] = 0  # so long yet its server may not listen


class SshPorts(Struct, frozen=True):
    """All ports to listen on, in one revision of the list."""

    revision: Annotated[int, Meta(ge=0)]
    ports: dict[
        Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,4}\Z")],
        Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,63}\Z")],  # label
    ]


class _Refusal(Struct, frozen=True):
    error: str = ""
    code: str = ""


class ControlPlane:
    """A client of it. Calls raise ControlPlaneAway, NoSuchLabel or Stopped."""

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url.rstrip('/')}/api/gateway/v1"
        self._key = key

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._key}"}, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def route(self, label: str, kind: Kind) -> Route:
        return await self._call("GET", f"/routes/{label}", Route, LOOKUP_S, kind=kind)

    async def wake(self, label: str, kind: Kind, wait_s: int) -> Route:
        """Have it run; answers when it does, or after `wait_s` as it is then."""
        path = f"/routes/{label}/wake"
        return await self._call("POST", path, Route, wait_s + SLACK_S, kind=kind, wait=str(wait_s))

    async def ssh_ports(self, after: int, blocked: Collection[int], wait_s: float) -> SshPorts:
        """The list, when it is another one than that of revision `after`, or after `wait_s`. All of that one
        are listened on, but for `blocked`."""
        query = {"after": str(after), "wait": str(wait_s)}
        if blocked:
            query["blocked"] = ",".join(map(str, blocked))
        return await self._call("GET", "/ssh", SshPorts, wait_s + SLACK_S, **query)

    async def _call(self, method: str, path: str, kind_: type[_T], total_s: float, **query: str) -> _T:
        timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=CONNECT_S)
        try:
            async with self._session.request(
                method, self._url + path, params=query, timeout=timeout, allow_redirects=False
            ) as answer:
                body = await answer.content.read(ANSWER_LIMIT_BYTES)
                _check(answer.status, body)
                return msgspec.json.decode(body, type=kind_)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise ControlPlaneAway("the control plane does not answer") from error


def _check(status: int, body: bytes) -> None:
    if status == 200:
        return
    if status == 404:
        raise NoSuchLabel("there is no sandbox behind this URL")
    if status == 409:
        raise Stopped(msgspec.json.decode(body, type=_Refusal).error)
    raise ControlPlaneAway(f"the control plane answered {status}")
