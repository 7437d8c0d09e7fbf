"""A request's body on its way inside, part by part as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from gateway.errors import BadRequest, GatewayError, RequestTimeout

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Body:
    """Read once, and only when there is somebody to send it to."""

    def __init__(self, request: web.BaseRequest, quiet_s: float, *, is_awaited: bool) -> None:
        """`is_awaited`: the visitor sends it when told to go on."""
        self._request = request
        self._quiet_s = quiet_s
        self._is_awaited = is_awaited
        self.has_begun = False
        self.fault: GatewayError | None = None  # the visitor's
        self.moved: Callable[[], None] | None = None  # called for each part

    async def parts(self) -> AsyncIterator[bytes]:
        self.has_begun = True
        transport = self._request.transport
        if self._is_awaited and transport is not None:
            transport.write(CONTINUE)
        while part := await self._next():
            if self.moved is not None:
                self.moved()
            yield part

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._quiet_s):
                return await self._request.content.readany()
        except TimeoutError:
            self.fault = RequestTimeout("the rest of the request's body did not come")
            raise
        except web.RequestPayloadError:
            self.fault = BadRequest("the request's body is malformed")
            raise
