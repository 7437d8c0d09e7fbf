"""A registry of images for agents to talk to, over a real object store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests import accepting
from tests.agent.bucket import Bucket


class FakeRegistry:
    """Says yes to everybody. `builds` is by image and build."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.builds: dict[tuple[str, str], dict[str, Any]] = {}
        self.fetched: list[str] = []  # objects that addresses were asked for, to get them
        self.is_away = False
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeRegistry]:
        app = web.Application()
        base = "/api/host/v1/images"
        app.router.add_post(f"{base}/objects", self._objects)
        app.router.add_get(f"{base}/builds", self._build)
        app.router.add_post(f"{base}/builds", self._publish)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await accepting.end(runner)

    async def _objects(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        self.fetched += wanted["get"]
        return web.json_response(
            {
                "get": {name: self.bucket.sign_get(name) for name in wanted["get"]},
                "put": {name: self.bucket.sign_put(name, size) for name, size in wanted["put"]},
                "expires_s": 900,
            }
        )

    async def _build(self, request: web.Request) -> web.Response:
        if self.is_away:
            return web.json_response({"error": "away", "code": "unavailable"}, status=503)
        found = self.builds.get((request.query["image"], request.query["build"]))
        if found is None:
            return web.json_response({"error": "no", "code": "build_not_found"}, status=404)
        return web.json_response(found)

    async def _publish(self, request: web.Request) -> web.Response:
        said = await request.json()
        assert self.bucket.has(said["manifest"])
        self.builds[said["image"], said["build"]] = said
        return web.json_response(said)
