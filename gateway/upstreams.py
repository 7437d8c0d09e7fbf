"""Connections to the servers inside, kept for the next request to the same one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from gateway.dial import Target, dial
from gateway.errors import NoAnswer
from gateway.settings import Settings

# Shorter than what servers usually keep (some 60 s, some 5), and so short that a connection that nobody uses
# does not look like a visitor for long.
IDLE_S = 4.0
POOLS_LIMIT = 1024
# An answer's head may be large: cookies, policies. It is bounded all the same.
LINE_LIMIT_BYTES = 32 * 1024
FIELD_LIMIT_BYTES = 64 * 1024
HEADERS_LIMIT = 512
# A frozen sandbox is thawed first, and a server may be slow to accept. The data port gives up earlier.
ANSWER_S = 40.0
_NEVER_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class _Connector(aiohttp.BaseConnector):
    """Makes connections by way of the data port."""

    def __init__(self, upstream: Upstream, connect_s: float, *, force_close: bool) -> None:
        keep = None if force_close else IDLE_S
        if keep is None:
            super().__init__(limit=0, force_close=True)
        else:
            super().__init__(limit=0, keepalive_timeout=keep)
        self._upstream = upstream
        self._connect_s = connect_s

    async def _create_connection(
        self, _req: ClientRequest, _traces: list[Trace], _timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        sock, early = await dial(self._upstream.target, self._connect_s, ANSWER_S)
        if early:
            sock.close()
            raise NoAnswer("the server on this port speaks before it is asked: it is no web server")
        _, protocol = await self._loop.create_connection(self._factory, sock=sock)
        return protocol


class Upstream:
    """A server inside. Closed when nobody uses it and another one has taken its place."""

    def __init__(self, target: Target, connect_s: float) -> None:
        self.target = target  # its ticket is renewed now and then
        self.users = 0
        self.is_retired = False
        self.kept = _session(_Connector(self, connect_s, force_close=False))
        # What cannot be asked twice never goes on a connection that may be closing just now.
        self.fresh = _session(_Connector(self, connect_s, force_close=True))

    async def close(self) -> None:
        await self.kept.close()
        await self.fresh.close()


def _session(connector: _Connector) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=_NEVER_ADDED,
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None),
        max_line_size=LINE_LIMIT_BYTES,
        max_field_size=FIELD_LIMIT_BYTES,
        max_headers=HEADERS_LIMIT,
    )
    # Else aiohttp sends DELETE and PUT again by itself, also on a connection that was not kept. What is asked
    # twice is decided in `gateway.asking`.
    session._retry_connection = False
    return session


class Upstreams:
    """The one in use for each label."""

    def __init__(self, settings: Settings) -> None:
        self._connect_s = settings.connect_s
        self._pools: OrderedDict[str, Upstream] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def use(self, label: str, target: Target) -> AsyncIterator[Upstream]:
        upstream = self._pools.get(label)
        if upstream is None or upstream.target.place != target.place:
            self._retire(label)
            upstream = self._pools[label] = Upstream(target, self._connect_s)
            self._shrink()
        upstream.target = target
        self._pools.move_to_end(label)
        upstream.users += 1
        try:
            yield upstream
        finally:
            upstream.users -= 1
            self._close_if_over(upstream)

    def _shrink(self) -> None:
        if len(self._pools) > POOLS_LIMIT:
            self._retire(next(iter(self._pools)))

    def _retire(self, label: str) -> None:
        upstream = self._pools.pop(label, None)
        if upstream is not None:
            upstream.is_retired = True
            self._close_if_over(upstream)

    def _close_if_over(self, upstream: Upstream) -> None:
        if upstream.is_retired and upstream.users == 0:
            task = asyncio.create_task(upstream.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for upstream in list(self._pools.values()):
            await upstream.close()
        self._pools.clear()
        await asyncio.gather(*self._closing)
