"""Moments between two steps of falling asleep and waking, which a real freezer is too quick for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import structlog

from hostagent.drivers.base import Driver
from hostagent.heldwire import SandboxWish, SleepWish, VolumeWish
from hostagent.holdings import HeldPhase, HeldRecord, Holding, Holdings
from hostagent.occupants import Occupants
from hostagent.sandboxbox import SandboxBox
from hostagent.saver import Saver
from hostagent.sleeper import Bed, Sleeper
from hostagent.traffic import Seen, Traffic, Visitors

OURS = "a" * 16
WISH = SandboxWish(
    sandbox_id=OURS, epoch=1, revision=1, wish="run", tenant="u12", image="standard", vcpus=1, memory_mb=256,
    disk_gb=1, is_kept=True, checkpoint_s=0, volume=VolumeWish(id=None, head=None, base=None, is_saved=False),
    sleep=SleepWish(idle_s=0.01, cpu_percent=50.0),
)  # fmt: skip

AWAKE = msgspec.structs.replace(WISH, wake=1)


@dataclass
class Freezer:
    """The driver's part of it. Stays in `freeze` and `thaw` for as long as it may not go on."""

    is_frozen_now: bool = False
    freezing: asyncio.Event = field(default_factory=asyncio.Event)
    thawing: asyncio.Event = field(default_factory=asyncio.Event)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def freeze(self, _: str) -> None:
        self.freezing.set()
        await self.may_go_on.wait()
        self.is_frozen_now = True

    async def thaw(self, _: str) -> None:
        self.thawing.set()
        await self.may_go_on.wait()
        self.is_frozen_now = False

    async def is_frozen(self, _: str) -> bool:
        return self.is_frozen_now

    async def cpu_ms(self, _: str) -> int:
        return 0


class Saved:
    """A saver that has nothing to save."""

    saves_all = False

    def checkpoint(self) -> asyncio.Future[bool]:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done


class Watched(Traffic):
    """A data port whose answers are at hand."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir, has_data_port=True)
        self.connections = 0

    async def _ask(self) -> Seen:
        return Seen(time.monotonic(), {OURS: Visitors(tcp=self.connections)})


@dataclass
class Room:
    """One sandbox, its sleeper at work."""

    freezer: Freezer
    traffic: Watched
    holdings: Path
    record: HeldRecord
    sleeper: Sleeper
    life: asyncio.Task[None]
    stirred: asyncio.Event

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - a record tells nobody that it changes
                await asyncio.sleep(0.001)

    async def asleep(self) -> None:
        self.freezer.may_go_on.set()
        await self.until(lambda: self.record.sleep is not None and self.record.sleep.asleep is not None)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    record = HeldRecord(WISH, "boot", 1, HeldPhase.RUNNING)
    log = structlog.get_logger(__name__)
    freezer, traffic, stirred = Freezer(), Watched(tmp_path), asyncio.Event()
    bed = Bed(
        Holding(Holdings(tmp_path / "held"), record, log), cast("Driver", freezer), Occupants(),
        cast("Saver", Saved()), traffic, SandboxBox(WISH, lambda _: None, asyncio.Event()), stirred.set,
    )  # fmt: skip
    sleeper = Sleeper(bed, log)
    life = asyncio.create_task(sleeper.run())
    yield Room(freezer, traffic, tmp_path / "held", record, sleeper, life, stirred)
    freezer.may_go_on.set()
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)


async def test_what_was_answered_during_the_freeze_is_asked_again(room: Room) -> None:
    """By then another sandbox of the host has asked. Who comes after that, and before all has stopped, has
    found it awake, and would wait in vain."""
    await room.until(room.freezer.freezing.is_set)
    await room.traffic.seen(time.monotonic())
    room.traffic.connections = 1
    room.freezer.may_go_on.set()
    await room.until(room.freezer.thawing.is_set)
    await room.until(lambda: room.record.sleep is None)
    assert not room.freezer.is_frozen_now


async def test_who_gives_up_while_it_thaws_does_not_leave_it_noted_as_asleep(room: Room) -> None:
    await room.asleep()
    room.traffic.connections = 1
    room.freezer.may_go_on.clear()
    waking = asyncio.create_task(room.sleeper.wake("connection"))
    await room.until(room.freezer.thawing.is_set)
    waking.cancel()
    room.freezer.may_go_on.set()
    await asyncio.gather(waking, return_exceptions=True)
    assert (room.freezer.is_frozen_now, room.record.sleep) == (False, None)


async def test_a_disk_that_takes_no_note_lets_it_neither_sleep_nor_end(room: Room) -> None:
    await room.until(room.freezer.freezing.is_set)
    room.holdings.joinpath(f"{OURS}.json").unlink()
    room.holdings.rmdir()
    room.freezer.may_go_on.set()
    await room.until(room.freezer.thawing.is_set)
    await room.until(lambda: room.record.sleep is None)
    assert (room.freezer.is_frozen_now, room.life.done()) == (False, False)


async def test_a_disk_that_takes_no_note_keeps_nobody_out(room: Room) -> None:
    await room.asleep()
    room.traffic.connections = 1
    room.holdings.joinpath(f"{OURS}.json").unlink()
    room.holdings.rmdir()
    await room.sleeper.wake("connection")
    assert (room.freezer.is_frozen_now, room.record.sleep) == (False, None)


async def test_whatever_wakes_it_stirs_its_startup_command(room: Room) -> None:
    await room.asleep()
    room.record.wish = AWAKE
    room.sleeper.look_again(is_wanted=True)
    async with asyncio.timeout(5):
        await room.stirred.wait()
