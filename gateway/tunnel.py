"""A WebSocket: both sides agree by HTTP, then the gateway passes bytes and understands none of them."""

from __future__ import annotations

from typing import Any, cast

import aiohttp
from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from gateway.errors import NoAnswer
from gateway.trip import Trip
from relay import Pair


class Tunnelled(web.StreamResponse):
    """Stands for an answer that has been given by other means."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002
        return None

    async def write_eof(self, data: Any = b"") -> None:
        """Nothing is left to be said."""


class _Rest:
    """Takes what aiohttp has read beyond the head. It is all the parser that a tunnel has."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """The end reaches the pair by itself."""


def is_websocket(request: web.BaseRequest) -> bool:
    """Other upgrades (h2c) are left out of the request: behind them nobody could tell requests apart."""
    options = ",".join(request.headers.getall(hdrs.CONNECTION, [])).lower().split(",")
    return (
        request.method == "GET"
        and request.version == aiohttp.HttpVersion11
        and request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        and "upgrade" in (option.strip() for option in options)
    )


def add_upgrade(headers: CIMultiDict[str]) -> None:
    headers[hdrs.CONNECTION] = "Upgrade"
    headers[hdrs.UPGRADE] = "websocket"


async def tunnel(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, headers: CIMultiDict[str], trip: Trip
) -> web.StreamResponse:
    """Join the two connections until both are closed. `headers`: of the 101."""
    inner, outer = answer.connection, request.transport
    if inner is None or inner.protocol is None or inner.transport is None:
        raise NoAnswer("the server in the sandbox closed the connection")
    if outer is None:
        raise ConnectionResetError  # the visitor has left

    def count(number: int) -> None:
        trip.sent_bytes += number

    add_upgrade(headers)
    outer.write(_head(headers))
    inner_rest, outer_rest = _Rest(), _Rest()
    inner.protocol.set_parser(inner_rest, None)
    request.protocol.set_parser(cast("Any", outer_rest))
    pair = Pair(count)
    pair.one.take_over(outer, request.protocol, outer_rest.data)
    pair.other.take_over(cast("Any", inner.transport), inner.protocol, inner_rest.data)
    try:
        await pair.closed.wait()
    finally:
        # Cancelled: the visitor has left, and the pair ends by itself; or the gateway stops.
        answer.close()
    response = Tunnelled(status=101)
    response.force_close()
    return response


def _head(headers: CIMultiDict[str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise NoAnswer("the server in the sandbox sent a malformed head")
    text = "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""])
    return text.encode("utf-8", "surrogateescape")
