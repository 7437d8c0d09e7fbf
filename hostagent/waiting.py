"""Waiting for whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first(*things: asyncio.Future[Any] | asyncio.Event, timeout_s: float | None = None) -> None:
    """Wait for one of the tasks or events, at most `timeout_s`. The tasks are left as they are."""
    tasks = [thing for thing in things if isinstance(thing, asyncio.Future)]
    waits = [asyncio.create_task(thing.wait()) for thing in things if isinstance(thing, asyncio.Event)]
    try:
        await asyncio.wait([*tasks, *waits], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, but cut it short when the event comes. Whether it was done."""
    task = asyncio.create_task(work)
    try:
        await first(task, event)
        if task.done():
            task.result()
            return True
        return False
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work. Who is cancelled meanwhile goes on only when it is done: a thread cannot be stopped."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
