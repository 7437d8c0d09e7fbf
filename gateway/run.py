"""The gateway as a whole: what runs beside what, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.control import ControlPlane
from gateway.front import Front
from gateway.proxy import Proxy
from gateway.routes import Routes
from gateway.settings import Settings
from gateway.ssh import SshFront


@contextlib.asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[Front]:
    """Serve while the block runs."""
    async with ControlPlane(settings.control_url, settings.key) as control:
        routes = Routes(control, settings.wake_s)
        proxy, ssh = Proxy(settings, routes), SshFront(settings, control, routes)
        front = Front(settings, proxy)
        following = asyncio.create_task(ssh.follow_for_ever())
        try:
            async with front.serving():
                yield front
                # Both kinds of connections have the same grace, at the same time.
                following.cancel()
                closing = asyncio.create_task(ssh.close())
            await closing
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await proxy.close()
