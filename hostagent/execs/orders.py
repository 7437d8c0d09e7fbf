"""Startup commands, as the agent orders them: execs like all others, but for who supervises them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from hostagent import startupwire
from hostagent.errors import AgentError
from hostagent.execs.errors import ExecError
from hostagent.execs.house import Execs
from hostagent.startupwire import Answer, Ended, Refused, Running, Started, StartOrder


class Orders:
    def __init__(self, execs: Execs, is_frozen: Callable[[str], Awaitable[bool]]) -> None:
        self._execs = execs
        self._is_frozen = is_frozen

    async def start(self, sandbox_id: str, order: str) -> dict[str, Any]:
        return await self._answered(lambda: self._start(sandbox_id, startupwire.order_of(order)))

    async def end(self, sandbox_id: str, exec_id: str) -> dict[str, Any]:
        return await self._answered(lambda: self._end(sandbox_id, exec_id))

    async def _answered(self, work: Callable[[], Awaitable[Answer]]) -> dict[str, Any]:
        answer: Answer
        try:
            answer = await work()
        except ExecError as error:
            answer = Refused(error.code, str(error))
        except (AgentError, ValueError, OSError) as error:
            answer = Refused("host_trouble", str(error))
        values: dict[str, Any] = msgspec.to_builtins(answer)
        return values

    async def _start(self, sandbox_id: str, order: StartOrder) -> Answer:
        if await self._is_frozen(sandbox_id):
            return Refused("asleep", "the sandbox sleeps")
        if order.previous is not None:
            await self._execs.kill_left(sandbox_id, order.previous)
        if order.forget is not None:
            await self._execs.forget(sandbox_id, order.forget)
        _, is_new = await self._execs.open(sandbox_id, order.opening, is_startup=True)
        return Started(is_new)

    async def _end(self, sandbox_id: str, exec_id: str) -> Answer:
        exec_ = await self._execs.find(sandbox_id, exec_id)
        try:
            async with asyncio.timeout(startupwire.END_WAIT_S):
                end = await exec_.over()
        except TimeoutError:
            return Running()
        return Ended(end.outcome, end.exit_code, end.at_ms)
