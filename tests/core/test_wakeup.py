"""Wake-ups: seen by whoever listens, on one process or many, and never needed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.conf import settings

from core import redis as redis_client
from core import wakeup
from core.wakeup import listening, wake
from tests.servers import RedisServer

SOON_S = 1.0  # far below every recheck


async def until(condition: Any, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        await asyncio.sleep(0.01)


async def wake_in_another_process(*groups: str) -> None:
    code = "import django; django.setup(); import sys; from core.wakeup import wake; wake(*sys.argv[1:])"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mags_project.settings"}
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *groups, env=environment)
    assert await child.wait() == 0


def publish_as_another_process(*groups: str) -> None:
    redis_client.client().publish(f"{settings.REDIS_PREFIX}:wake", " ".join(["other", *groups]))


@pytest.fixture
async def subscribed(redis: RedisServer) -> AsyncIterator[None]:
    async with listening("warm-up"):
        await until(lambda: hub().is_subscribed)
        yield


def hub() -> Any:
    return wakeup._hubs[asyncio.get_running_loop()]


@pytest.mark.usefixtures("subscribed")
async def test_wake_from_a_thread_of_this_process() -> None:
    async with listening("a") as waiter:
        await asyncio.to_thread(wake, "a")
        assert await waiter.wait(SOON_S)


@pytest.mark.usefixtures("subscribed")
async def test_wake_from_another_process() -> None:
    async with listening("a", "b") as waiter:
        await wake_in_another_process("x", "b")
        assert await waiter.wait(SOON_S)


@pytest.mark.usefixtures("subscribed")
async def test_wake_before_the_wait_is_not_lost() -> None:
    async with listening("a") as waiter:
        publish_as_another_process("a")
        await asyncio.sleep(0.1)  # lets the message arrive before anybody waits
        assert await waiter.wait(0.001)


@pytest.mark.usefixtures("subscribed")
async def test_one_wake_wakes_all_who_listen_and_nobody_else() -> None:
    async with listening("a") as one, listening("a") as two, listening("b") as other:
        await until(lambda: not other._woken.is_set())
        publish_as_another_process("a")
        assert await one.wait(SOON_S)
        assert await two.wait(SOON_S)
        assert not await other.wait(0.05)
        assert not await one.wait(0.05)  # once


@pytest.mark.usefixtures("subscribed")
async def test_own_messages_do_not_wake_twice() -> None:
    async with listening("a") as waiter:
        await asyncio.to_thread(wake, "a")
        assert await waiter.wait(SOON_S)
        assert not await waiter.wait(0.2)


@pytest.mark.usefixtures("subscribed")
async def test_waits_no_longer_than_asked_and_looks_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening("a") as waiter:
        started = time.monotonic()
        assert not await waiter.wait(0.05)
        assert time.monotonic() - started < SOON_S
        assert not await waiter.wait(-1)
        monkeypatch.setattr(wakeup, "RECHECK_S", 0.05)
        assert not await waiter.wait(60)
        assert time.monotonic() - started < SOON_S


@pytest.mark.usefixtures("subscribed")
async def test_leaving_forgets_the_group() -> None:
    async with listening("a", "b"):
        pass
    assert set(hub()._waiters) == {"warm-up"}


@pytest.mark.usefixtures("subscribed")
async def test_survives_flushall(redis: RedisServer) -> None:
    async with listening("a") as waiter:
        redis.flush()
        publish_as_another_process("a")
        assert await waiter.wait(SOON_S)


@pytest.mark.usefixtures("subscribed")
async def test_survives_the_death_and_return_of_redis(redis: RedisServer) -> None:
    async with listening("a") as waiter:
        redis.stop(signal.SIGKILL)
        try:
            await until(lambda: not hub().is_subscribed)
            assert await waiter.wait(SOON_S)  # a message may have been lost: look again
            await asyncio.to_thread(wake, "a")  # this process's own still arrive
            assert await waiter.wait(SOON_S)
            started = time.monotonic()
            assert not await waiter.wait(60)
            assert time.monotonic() - started < 2.5  # the degraded recheck
        finally:
            redis.start()
        await until(lambda: hub().is_subscribed)
        assert await waiter.wait(SOON_S)  # and again after the return
        publish_as_another_process("a")
        assert await waiter.wait(SOON_S)


async def test_works_without_redis_from_the_start() -> None:
    started = time.monotonic()
    async with listening("a") as waiter:
        await asyncio.to_thread(wake, "a")
        assert await waiter.wait(SOON_S)
    assert time.monotonic() - started < SOON_S


def test_waking_without_redis_is_quick_and_silent() -> None:
    started = time.monotonic()
    for _ in range(100):
        wake("a")
    assert time.monotonic() - started < SOON_S


def test_waking_a_group_nobody_listens_to_is_one_publish(redis: RedisServer) -> None:
    client = redis_client.client()
    before = client.info("commandstats")
    for _ in range(10):
        wake("nobody")
    after = client.info("commandstats")
    calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    assert calls["cmdstat_publish"] == 10
    assert {name for name, count in calls.items() if count} <= {"cmdstat_publish", "cmdstat_info"}
