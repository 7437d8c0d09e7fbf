"""A frozen sandbox takes connections, for the kernel does that, and answers none. The agent thaws it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from hostagent import control
from hostagent.backoff import Backoff
from hostagent.dataport.errors import Refused
from hostagent.dataport.reach import Reach
from hostagent.errors import AgentError

AGENT_BACK_S = 10.0  # an agent that is killed, or updated, is back by then


class Waker:
    """One question to the agent for a sandbox at a time, however many connections wait for it."""

    def __init__(self, state_dir: Path, reach: Reach, wake_s: float) -> None:
        self._state_dir = state_dir
        self._reach = reach
        self._wake_s = wake_s
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def ensure(self, sandbox_id: str, kind: str = "tcp") -> None:
        """Return when the sandbox is not frozen. Raises Refused where nobody can thaw it. `kind`: of the
        connection that comes."""
        if not await self.is_frozen(sandbox_id):
            return
        task = self._asking.get(sandbox_id)
        if task is None:
            task = self._asking[sandbox_id] = asyncio.create_task(self._wake(sandbox_id, kind))
            task.add_done_callback(lambda _: self._asking.pop(sandbox_id))
        await asyncio.shield(task)

    async def _wake(self, sandbox_id: str, kind: str) -> None:
        command = f"wake {sandbox_id} exec" if kind == "exec" else f"wake {sandbox_id}"
        try:
            async with asyncio.timeout(self._wake_s):
                answer = await self._ask(command)
        except (AgentError, TimeoutError) as error:
            raise Refused(503, "not_awake", "the sandbox sleeps, and its host's agent is away") from error
        if "error" in answer or await self.is_frozen(sandbox_id):
            raise Refused(503, "not_awake", f"the sandbox sleeps: {answer.get('error', 'it was not woken')}")

    async def _ask(self, command: str) -> dict[str, Any]:
        """Again, for as long as an agent takes that starts anew."""
        backoff = Backoff()
        deadline = time.monotonic() + AGENT_BACK_S
        while True:
            try:
                return await control.ask(self._state_dir, command)
            except AgentError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(backoff.next_s())

    async def is_frozen(self, sandbox_id: str) -> bool:
        return await self._reach.slow(lambda: self._reach.tenancy.is_frozen(sandbox_id))
