"""The running agent's socket for commands on its host."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hostagent import control
from hostagent.errors import AgentError


def test_who_waits_for_an_answer_at_its_end_is_told(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def never(_command: str) -> dict[str, Any]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def ask_and_end() -> None:
        async with control.serve(tmp_path, never):
            asking = asyncio.create_task(control.ask(tmp_path, "status"))
            await asked.wait()
        with pytest.raises(AgentError, match="no agent answers"):
            await asyncio.wait_for(asking, timeout=3)

    asyncio.run(ask_and_end())


def test_who_says_nothing_does_not_hold_its_end_up(tmp_path: Path) -> None:
    async def at_once(_command: str) -> dict[str, Any]:
        return {}

    async def connect_and_end() -> None:
        async with control.serve(tmp_path, at_once):
            reader, writer = await asyncio.open_unix_connection(tmp_path / control.SOCKET)
            assert await control.ask(tmp_path, "status") == {}
        assert await asyncio.wait_for(reader.read(), timeout=3) == b""
        writer.close()
        await writer.wait_closed()

    asyncio.run(connect_and_end())
