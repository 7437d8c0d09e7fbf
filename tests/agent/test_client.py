"""Calls of the agent beside each other, on a real connection."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer

from hostagent.client import CONNECTIONS, Client
from hostagent.heldwire import VersionRequest
from hostagent.questionwire import Failed

COMMIT = VersionRequest(1, "k3v9x0a1b2c3d4e5", 1, "0" * 64, None, "sync", 1, 1, 1)


async def test_commits_that_hang_leave_connections_for_other_calls() -> None:
    hanging = asyncio.Event()

    async def commit(_: web.Request) -> web.Response:
        await hanging.wait()
        return web.json_response({}, status=503)

    async def accept(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/api/host/v1/versions", commit)
    app.router.add_post("/api/host/v1/answers", accept)
    async with TestServer(app) as server, Client(str(server.make_url("/"))) as client:
        commits = [asyncio.create_task(client.commit(COMMIT)) for _ in range(2 * CONNECTIONS)]
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(client.answer(1, Failed("failed")), 5)
        finally:
            hanging.set()
            await asyncio.gather(*commits, return_exceptions=True)
