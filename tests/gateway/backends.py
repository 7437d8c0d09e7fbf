"""Servers as people run them in sandboxes: an ordinary one, and some that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests import accepting


@dataclass
class Backend:
    """An ordinary one."""

    port: int = 0
    seen: list[str] = field(default_factory=list)  # "<method> <target>" of each request
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    sent_bytes: int = 0

    async def echo(self, request: web.Request) -> web.Response:
        """What of the request has arrived."""
        self.seen.append(f"{request.method} {request.raw_path}")
        body = await request.read()
        headers = [[name.decode(), value.decode("latin-1")] for name, value in request.raw_headers]
        answer = {
            "method": request.method,
            "target": request.raw_path,
            "headers": headers,
            "body": body.decode(),
        }
        return web.json_response(answer, headers={"Connection": "x-private", "X-Private": "1", "X-Kept": "1"})

    async def upload(self, request: web.Request) -> web.Response:
        digest, count = hashlib.sha256(), 0
        async for part in request.content.iter_any():
            digest.update(part)
            count += len(part)
        return web.json_response({"sha256": digest.hexdigest(), "bytes": count})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Endless zeros, as fast as they are taken."""
        response = web.StreamResponse()
        await response.prepare(request)
        while self.sent_bytes < 2**30:
            await response.write(bytes(65536))
            self.sent_bytes += 65536
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await self.may_go_on.wait()
        await response.write(b"data: two\n\n")
        return response

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("chat", "other"), max_msg_size=2**25)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "close":
                await socket.close(code=4001, message=b"as you wish")
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket

    async def slow(self, request: web.Request) -> web.Response:
        self.seen.append(f"{request.method} {request.raw_path}")
        await self.may_go_on.wait()
        return web.Response(text="late")

    async def empty(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]))

    async def redirect(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/login?next=/"})


@contextlib.asynccontextmanager
async def backend(port: int = 0) -> AsyncIterator[Backend]:
    server = Backend()
    app = web.Application(client_max_size=2**30)
    app.router.add_get("/events", server.events)
    app.router.add_get("/ws", server.websocket)
    app.router.add_get("/slow", server.slow)
    app.router.add_get("/download", server.download)
    app.router.add_get("/redirect", server.redirect)
    app.router.add_get("/empty/{status}", server.empty)
    app.router.add_route("*", "/upload", server.upload)
    app.router.add_route("*", "/{tail:.*}", server.echo)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await accepting.end(runner)


@contextlib.asynccontextmanager
async def answering(*answers: bytes, is_closing: bool = True) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads a head and sends these bytes, one answer a connection, whatever they are."""
    heads: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
            if not is_closing:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


def header(answer: str, name: str) -> list[str]:
    """Values of a header that `echo` has seen."""
    return [value for key, value in json.loads(answer)["headers"] if key.lower() == name.lower()]
