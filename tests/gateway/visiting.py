"""Visitors: an ordinary client, and raw bytes for what no client would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import uvloop

from gateway.front import Front
from gateway.run import gateway
from gateway.settings import Settings
from tests.gateway.doubles import KEY, ControlPlaneServer


@dataclass
class Visited:
    """A running gateway."""

    front: Front
    client: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return self.front.port

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ask(self, method: str, path: str = "/", label: str = "app", **values: Any) -> Any:
        headers = {"Host": f"{label}.apps.localhost:{self.port}", **values.pop("headers", {})}
        return self.client.request(method, self.url(path), headers=headers, allow_redirects=False, **values)

    async def text(self, path: str = "/", label: str = "app", **values: Any) -> str:
        async with self.ask("GET", path, label, **values) as answer:
            assert answer.status == 200, await answer.text()
            return str(await answer.text())

    async def raw(self, *parts: bytes, timeout_s: float = 10) -> bytes:
        """Send bytes on one connection; all that comes back until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(timeout_s):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def visited(control: ControlPlaneServer, **changes: Any) -> AsyncIterator[Visited]:
    settings = replace(
        Settings(control_url=f"http://127.0.0.1:{control.port}", key=KEY, port=0, grace_s=0.2), **changes
    )
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        _serving(settings) as front,
        aiohttp.ClientSession(connector=connector, auto_decompress=False) as client,
    ):
        yield Visited(front, client)


@contextlib.asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[Front]:
    """In a thread of its own, on the event loop that it has in production."""
    started: Future[tuple[Front, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with gateway(settings) as front:
            stopped = asyncio.Event()
            started.set_result((front, asyncio.get_running_loop(), stopped))
            await stopped.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    with ThreadPoolExecutor(1) as threads:
        thread = asyncio.get_running_loop().run_in_executor(threads, run)
        front, loop, stopped = await asyncio.wrap_future(started)
        try:
            yield front
        finally:
            loop.call_soon_threadsafe(stopped.set)
            await thread
