"""Asking a server inside: which connection, how long, how often, and what its silence means."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from gateway.errors import AnswerTimeout, BadRequest, NoAnswer
from gateway.names import Site
from gateway.trip import Trip
from gateway.upstreams import Upstream

REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})


async def ask(
    upstream: Upstream,
    request: web.BaseRequest,
    site: Site,
    headers: CIMultiDict[str],
    trip: Trip,
    answer_s: float,
) -> aiohttp.ClientResponse:
    """The answer's head; its body follows, or a WebSocket. Raises GatewayError.

    What may be asked twice goes on a kept connection, and once more where that was closed just then. All else
    goes on a connection of its own, so that nobody has to wonder whether it was heard.
    """
    is_repeatable = request.method in REPEATABLE and trip.body is None and "Upgrade" not in headers
    url = _url(upstream, site)
    try:
        async with asyncio.timeout(answer_s) as deadline:
            if not is_repeatable:
                _watch(trip, deadline, answer_s)
                return await _request(upstream.fresh, request.method, url, headers, trip)
            try:
                return await _request(upstream.kept, request.method, url, headers, trip)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                return await _request(upstream.fresh, request.method, url, headers, trip)
    except TimeoutError as error:
        raise _fault(trip) or AnswerTimeout(f"no answer came within {answer_s:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise _fault(trip) or NoAnswer("the server in the sandbox closed the connection") from error
    except ValueError as error:  # a header that cannot be sent
        raise BadRequest("a header of the request is malformed") from error


def _fault(trip: Trip) -> Exception | None:
    return None if trip.body is None else trip.body.fault


def _watch(trip: Trip, deadline: asyncio.Timeout, answer_s: float) -> None:
    """While a body moves the server need not answer."""
    if trip.body is not None:
        now = asyncio.get_running_loop().time
        trip.body.moved = lambda: deadline.reschedule(now() + answer_s)


async def _request(
    session: aiohttp.ClientSession, method: str, url: URL, headers: CIMultiDict[str], trip: Trip
) -> aiohttp.ClientResponse:
    data = None if trip.body is None else trip.body.parts()
    return await session.request(method, url, headers=headers, data=data, allow_redirects=False)


def _url(upstream: Upstream, site: Site) -> URL:
    """As it was asked, byte by byte: no part of it is decoded or made pretty."""
    path, mark, query = site.target.partition("?")
    return URL.build(
        scheme="http",
        host=upstream.target.sandbox_id,
        port=upstream.target.port,
        path=path,
        query_string=query if mark else "",
        encoded=True,
    )
