"""A proxy before the bucket that misbehaves on demand."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

from aiohttp import ClientSession, web

from tests import accepting

Misbehaviour = Callable[[web.Request, int], "str | None"]
BODY_LIMIT_BYTES = 64 << 20


class FaultyProxy:
    """`fault` says for each request, by its number, what goes wrong: "500", "503", "reset", "stall",
    "lost" (done, but the reply is lost), "short" (half of the body), "403", None."""

    def __init__(self, target_port: int, session: ClientSession) -> None:
        self._target = f"http://127.0.0.1:{target_port}"
        self._session = session
        self.fault: Misbehaviour = lambda _request, _number: None
        self.count = 0
        self.statuses: list[int] = []
        self.port = 0
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> FaultyProxy:
        app = web.Application(client_max_size=BODY_LIMIT_BYTES)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.cancel()
        await accepting.end(self._runner)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        self.count += 1
        fault = self.fault(request, self.count)
        if fault in ("500", "503", "403"):
            return web.Response(status=int(fault))
        if fault == "reset":
            return self._cut(request)
        if fault == "stall":
            await asyncio.wait([self._closing])
        headers = dict(request.headers)  # with the Host that was signed
        async with self._session.request(
            request.method,
            self._target + request.path_qs,
            headers=headers,
            data=io.BytesIO(await request.read()),
        ) as answer:
            body = await answer.read()
        self.statuses.append(answer.status)
        if fault == "lost":
            return self._cut(request)
        if fault == "short":
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            return self._cut(request)
        return web.Response(status=answer.status, body=body)

    @staticmethod
    def _cut(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
