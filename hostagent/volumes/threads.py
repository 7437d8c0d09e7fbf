"""Calls that block, apart from the event loop, and never left running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Not the loop's own pool: a few long restores would make every other call of the agent wait there.
_pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="volumes")


async def blocking(function: Callable[[], T], *, abort: Callable[[], None] | None = None) -> T:
    """Run `function` in a thread. It has ended on return: `abort` ends it when the caller is cancelled."""
    work = asyncio.get_running_loop().run_in_executor(_pool, function)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if abort is not None:
            abort()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # of a call that was cut short: nobody wants to know
        raise
