"""The end of an aiohttp server whose clients come until its last moment."""

from __future__ import annotations

import asyncio

from aiohttp.web import AppRunner, ServerRunner

# From a connection that was accepted to its handler asyncio takes three turns of its loop; aiohttp waits for
# one. Whoever comes in between is closed by nobody: a warning in whichever test collects it.
TURNS = 5


async def end(runner: AppRunner | ServerRunner) -> None:
    for site in list(runner.sites):
        await site.stop()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    await runner.cleanup()
