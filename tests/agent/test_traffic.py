"""What the agent learns from its data port about who is connected."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hostagent import control
from hostagent.traffic import Traffic

BUSY, QUIET = "a" * 16, "b" * 16


class DataPortDouble:
    """Answers on the socket of a data port."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / control.DATA_PORT
        self.directory.mkdir()
        self.questions = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer: dict[str, Any] = {
            "sandboxes": {
                BUSY: {"tcp": 2, "ssh": 1, "exec": 1, "quiet_ms": 500},
                QUIET: {"tcp": 0, "ssh": 0, "exec": 0, "quiet_ms": 60_000},
            },
            "execs": {BUSY: 3},
        }

    async def command(self, line: str) -> dict[str, Any]:
        assert line in ("connections", "")  # nothing: who asks was cancelled
        self.questions += 1
        await self.may_answer.wait()
        return self.answer


async def test_what_is_seen(tmp_path: Path) -> None:
    port, traffic = DataPortDouble(tmp_path), Traffic(tmp_path, has_data_port=True)
    async with control.serve(port.directory, port.command):
        seen = await traffic.seen(time.monotonic())
    assert seen is not None
    assert (seen.connections(BUSY), seen.execs[BUSY]) == (4, 3)
    assert seen.active_at(BUSY) == pytest.approx(seen.at - 0.5)
    assert (seen.connections(QUIET), seen.active_at(QUIET)) == (0, pytest.approx(seen.at - 60))
    assert (seen.connections("c" * 16), seen.active_at("c" * 16)) == (0, 0)


async def test_one_question_for_all_who_wait_and_a_new_one_for_who_comes_later(tmp_path: Path) -> None:
    port, traffic = DataPortDouble(tmp_path), Traffic(tmp_path, has_data_port=True)
    async with control.serve(port.directory, port.command):
        now = time.monotonic()
        await asyncio.gather(*(traffic.seen(now) for _ in range(50)))
        await traffic.seen(now)
        assert port.questions == 1
        await traffic.seen(time.monotonic())
        assert port.questions == 2


async def test_who_comes_after_one_that_was_cancelled_asks_anew(tmp_path: Path) -> None:
    port, traffic = DataPortDouble(tmp_path), Traffic(tmp_path, has_data_port=True)
    async with control.serve(port.directory, port.command):
        old = await traffic.seen(time.monotonic())
        port.may_answer.clear()
        since = time.monotonic()
        ending = asyncio.create_task(traffic.seen(since))
        while port.questions < 2:  # noqa: ASYNC110 - the double tells nobody
            await asyncio.sleep(0.001)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        port.may_answer.set()
        new = await traffic.seen(since)
    assert old is not None
    assert new is not None
    assert old.at < since <= new.at


async def test_nobody_knows_where_the_data_port_is_away_or_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostagent.traffic.ANSWER_S", 0.05)
    port, traffic = DataPortDouble(tmp_path), Traffic(tmp_path, has_data_port=True)
    assert await traffic.seen(time.monotonic()) is None
    async with control.serve(port.directory, port.command):
        port.may_answer.clear()
        now = time.monotonic()
        assert await asyncio.gather(*(traffic.seen(now) for _ in range(20))) == [None] * 20
        assert port.questions == 1  # the others did not wait for another time-out each
        port.may_answer.set()
        assert await traffic.seen(time.monotonic()) is not None
        port.answer = {"error": "unknown command"}
        assert await traffic.seen(time.monotonic()) is None


async def test_host_without_a_data_port_has_no_visitors(tmp_path: Path) -> None:
    seen = await Traffic(tmp_path, has_data_port=False).seen(time.monotonic())
    assert seen is not None
    assert seen.connections(BUSY) == 0


async def test_who_asks_can_be_cancelled_at_any_moment(tmp_path: Path) -> None:
    """Also when the answer comes with the cancellation: a sandbox that ends waits for who watches it."""
    port, traffic = DataPortDouble(tmp_path), Traffic(tmp_path, has_data_port=True)

    async def watch() -> None:
        while True:
            await traffic.seen(time.monotonic())

    async with control.serve(port.directory, port.command):
        for number in range(100):
            watching = asyncio.create_task(watch())
            await asyncio.sleep(0.001 + number * 0.00003)
            watching.cancel()
            done, _ = await asyncio.wait([watching], timeout=5)
            assert done, f"the cancellation was lost at try {number}"
