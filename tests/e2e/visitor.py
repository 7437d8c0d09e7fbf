"""Who visits public URLs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp
import httpx

from tests.e2e.running import RunningStack


class Visitor:
    """Somebody outside. Names below the apps domain are this machine's."""

    def __init__(self, stack: RunningStack) -> None:
        self.port = stack.layout.gateway_port

    def get(self, label: str, path: str = "/", **headers: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        host = {"Host": f"{label}.apps.localhost:{self.port}"}
        with httpx.Client(trust_env=False, timeout=70) as client:
            return client.get(url, headers=host | headers)

    def until(self, label: str, status: int = 200, **headers: str) -> httpx.Response:
        """A server inside needs a moment to listen; a gateway knows for a moment what was."""
        deadline = time.monotonic() + 30
        while (answer := self.get(label, **headers)).status_code != status:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        return answer

    @contextlib.asynccontextmanager
    async def socket(self, label: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket, as soon as what the label leads to takes one."""
        url, headers = f"http://127.0.0.1:{self.port}/", {"Host": f"{label}.apps.localhost:{self.port}"}
        deadline = time.monotonic() + 30
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    socket = await session.ws_connect(url, headers=headers)
                    break
                except aiohttp.WSServerHandshakeError:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)
            async with socket:
                yield socket
