"""The HTTP server: its connections and their limits, and one log line a request."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.headers import Trust
from gateway.proxy import Proxy
from gateway.settings import Settings
from gateway.trip import Trip

BACKLOG = 2048
LINGER_S = 2.0  # for what is still sent after the answer: a reset could overtake that
LOGGED_PATH_CHARACTERS = 512

logger = structlog.get_logger("gateway.access")


class _Server(web.Server):
    """Counts connections, and cuts those that are too many before they have cost anything."""

    def __init__(self, front: Front, settings: Settings) -> None:
        super().__init__(
            front.handle,
            handler_cancellation=True,  # a visitor who leaves is not worked for any more
            access_log=None,
            auto_decompress=False,
            lingering_time=LINGER_S,
            keepalive_timeout=settings.head_s,
            max_line_size=settings.line_limit_bytes,
            max_field_size=settings.field_limit_bytes,
            max_headers=settings.headers_limit,
        )
        self._settings = settings
        self._trust = Trust(settings.trusted_networks())
        self._addresses: Counter[str] = Counter()
        self._counted: dict[RequestHandler, str] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        address = str((transport.get_extra_info("peername") or ("",))[0])
        self._counted[handler] = address
        self._addresses[address] += 1
        if self._is_full(address):
            transport.abort()

    def _is_full(self, address: str) -> bool:
        if len(self._counted) > self._settings.connections_limit:
            return True
        if self._addresses[address] <= self._settings.address_connections_limit:
            return False
        return not self._trust.holds(address)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        address = self._counted.pop(handler, None)
        if address is not None:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]


class Front:
    def __init__(self, settings: Settings, proxy: Proxy) -> None:
        self._settings = settings
        self._proxy = proxy
        self._under_way: set[asyncio.Task[object]] = set()
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Take connections while the block runs; then none, and what is under way gets its grace."""
        server = _Server(self, self._settings)
        listener = await asyncio.get_running_loop().create_server(
            server, self._settings.address, self._settings.port, backlog=BACKLOG
        )
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            listener.close()
            server.pre_shutdown()  # those that wait for a request
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._settings.grace_s)
            await server.shutdown(0.1)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        trip, task = Trip(), cast("asyncio.Task[object]", asyncio.current_task())
        self._under_way.add(task)
        status = 499  # the visitor left before there was an answer
        try:
            response = await self._proxy.answer(request, trip)
            status = response.status
            return response
        finally:
            self._under_way.discard(task)
            _log(request, trip, status)


def _log(request: web.BaseRequest, trip: Trip, status: int) -> None:
    """Without the query: it often holds secrets."""
    site = trip.site
    path = request.raw_path if site is None else site.target
    logger.info(
        "request",
        id=trip.request_id,
        peer=request.remote,
        label="" if site is None else site.label,
        method=request.method,
        path=path.partition("?")[0][:LOGGED_PATH_CHARACTERS],
        status=status,
        bytes=trip.sent_bytes,
        ms=round((time.monotonic() - trip.begun_at) * 1000),
        **({"code": trip.code} if trip.code else {}),
    )
