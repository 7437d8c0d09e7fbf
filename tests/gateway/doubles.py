"""The gateway's two neighbours as real servers: the contract, and nothing behind it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests import accepting

KEY = "the-gateways-key"
TICKET = "a.good.ticket"
SANDBOX_ID = "a1b2c3d4e5f6g7h8"


class ControlPlaneServer:
    """docs/reference/gateway-api.md. Tests set `routes` and look at what was asked."""

    def __init__(self) -> None:
        self.routes: dict[str, dict[str, Any]] = {}
        self.woken: dict[str, dict[str, Any]] = {}  # what a label's route is once it was woken
        self.may_wake = asyncio.Event()
        self.lookups: list[str] = []
        self.wakes: list[str] = []
        self.was_woken = asyncio.Event()
        self.ssh: dict[str, str] = {}
        # What a gateway says that it listens on: the revision of a list, and what of it is in use.
        self.listening: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.revision = 1
        self._ssh_changed = asyncio.Event()
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/gateway/v1/routes/{label}", self._route)
        app.router.add_post("/api/gateway/v1/routes/{label}/wake", self._wake)
        app.router.add_get("/api/gateway/v1/ssh", self._ssh)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await accepting.end(self._runner)

    def run(self, label: str, data_port: int, port: int | None, **changes: Any) -> dict[str, Any]:
        self.routes[label] = {
            "state": "running",
            "host": {"address": "127.0.0.1", "data_port": data_port},
            "sandbox_id": SANDBOX_ID,
            "port": port,
            "ticket": TICKET,
            "ticket_expires_at": int((time.time() + 600) * 1000),
            "max_age_s": 60,
        } | changes
        return self.routes[label]

    def put_to_sleep(self, label: str) -> None:
        """It runs again when `may_wake` is set and somebody asks."""
        self.woken[label] = self.routes[label]
        self.routes[label] = {"state": "sleeping", "max_age_s": 5}

    def list_ssh(self, ports: dict[int, str]) -> None:
        self.ssh = {str(port): label for port, label in ports.items()}
        self.revision += 1
        self._ssh_changed.set()
        self._ssh_changed = asyncio.Event()

    async def _route(self, request: web.Request) -> web.Response:
        _check(request)
        label = request.match_info["label"]
        self.lookups.append(label)
        return _answer(self.routes.get(label))

    async def _wake(self, request: web.Request) -> web.Response:
        _check(request)
        label = request.match_info["label"]
        self.wakes.append(label)
        self.was_woken.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.may_wake.wait(), float(request.query["wait"]))
            self.routes[label] = self.woken.get(label, self.routes[label])
        return _answer(self.routes.get(label))

    async def _ssh(self, request: web.Request) -> web.Response:
        _check(request)
        self.listening.put_nowait((int(request.query["after"]), request.query.get("blocked", "")))
        if int(request.query["after"]) == self.revision:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ssh_changed.wait(), float(request.query["wait"]))
        return web.json_response({"revision": self.revision, "ports": self.ssh})


def _check(request: web.Request) -> None:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        raise web.HTTPUnauthorized


def _answer(route: dict[str, Any] | None) -> web.Response:
    if route is None:
        return web.json_response({"error": "no such label", "code": "not_found"}, status=404)
    return web.json_response(route)


class PlainDataPort:
    """docs/reference/data-port.md, without sandboxes: every port is one of this machine's loopback."""

    def __init__(self) -> None:
        self.port = 0
        self.connects: list[tuple[str, int]] = []
        self.refuse: tuple[int, str] | None = None
        self._came = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**16)
        self.port = self._server.sockets[0].getsockname()[1]

    async def reached(self, times: int) -> None:
        """Once so many have connected, or were refused."""
        while len(self.connects) < times:
            self._came.clear()
            await self._came.wait()

    async def stop(self) -> None:
        """With its connections, as when its process is killed."""
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._connect(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line = re.fullmatch(
            r"CONNECT ([a-z0-9]{16}):(\d+) HTTP/1\.1\r\nProxy-Authorization: Bearer (\S+)\r\n\r\n", head
        )
        if line is None or line[3] != TICKET:
            return self._refuse(writer, 407, "bad_ticket")
        self.connects.append((line[1], int(line[2])))
        self._came.set()
        if self.refuse is not None:
            return self._refuse(writer, *self.refuse)
        try:
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", int(line[2]))
        except ConnectionRefusedError:
            return self._refuse(writer, 502, "nothing_listens")
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        self._writers.add(inner)
        await asyncio.gather(_copy(reader, inner), _copy(inner_reader, writer))
        self._writers.discard(inner)
        inner.close()
        return None

    @staticmethod
    def _refuse(writer: asyncio.StreamWriter, status: int, code: str) -> None:
        body = f'{{"error": "refused: {code}", "code": "{code}"}}'
        head = f"HTTP/1.1 {status} Refused\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()
