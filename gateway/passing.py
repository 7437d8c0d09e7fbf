"""An answer from inside, passed on as it is."""

from __future__ import annotations

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway.errors import NoAnswer
from gateway.trip import Trip
from relay import reset


class Passed(web.StreamResponse):
    """Without what aiohttp adds to answers of its own: no browser is told a type that nobody knows."""

    async def _prepare_headers(self) -> None:
        # Asked of the headers themselves: many servers write `Content-type`.
        added = [name for name in (hdrs.CONTENT_TYPE, hdrs.SERVER) if name not in self.headers]
        await super()._prepare_headers()
        for name in added:
            self.headers.popall(name, None)


async def pass_on(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, headers: CIMultiDict[str], trip: Trip
) -> web.StreamResponse:
    """To the end, each part as it comes; no faster than the visitor takes it."""
    try:
        response = Passed(status=answer.status, reason=answer.reason or "", headers=headers)
        await response.prepare(request)
    except ValueError as error:
        raise NoAnswer("the server in the sandbox sent a malformed head") from error
    try:
        async for part in answer.content.iter_any():
            trip.sent_bytes += len(part)
            await response.write(part)
        await response.write_eof()
    except aiohttp.ClientError:
        # Half an answer must not look like a whole one.
        trip.code = "cut"
        if request.transport is not None:
            reset(request.transport)
    return response
