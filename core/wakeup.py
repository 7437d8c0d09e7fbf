"""Wakes whoever waits for a change in the database.

The order that loses nothing: listen, then read the database, then wait, then read again.

    async with listening(f"host:{host.id}") as waiter:
        while not (rows := await read()) and time.monotonic() < deadline:
            await waiter.wait(deadline - time.monotonic())

`wake` is called on commit (`wake_on_commit`). It reaches waiters of the
same process directly and those of other processes through one Redis pub/sub channel. A wake-up is
only a hint: when Redis is away, or lost a message, waiters look again by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.db import transaction
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from core import redis

RECHECK_S = 5.0  # a message may be lost: look again after about this long
DEGRADED_RECHECK_S = 1.5  # while Redis is away
SUBSCRIBE_TIMEOUT_S = 0.5  # what the first waiter of a process is held up for at most
PING_AFTER_S = 10.0  # a silent connection may be dead

_ORIGIN = secrets.token_hex(4).encode()  # our own messages come back; they were delivered already
_hubs: dict[asyncio.AbstractEventLoop, _Hub] = {}
_hubs_lock = threading.Lock()
_publisher = ThreadPoolExecutor(1, thread_name_prefix="wake")


def wake(*groups: str) -> None:
    """Wake everybody who listens to one of the groups. Never raises, never waits long."""
    with _hubs_lock:
        hubs = [hub for loop, hub in _hubs.items() if not loop.is_closed()]
    for hub in hubs:
        hub.notify_from_thread(groups)
    payload = b" ".join([_ORIGIN, *(group.encode() for group in groups)])
    if hubs:  # a web process: the answer under way need not wait for Redis
        _publisher.submit(_publish, payload)
    else:
        _publish(payload)


def _publish(payload: bytes) -> None:
    redis.attempt(lambda client: client.publish(_channel(), payload))


class _Wakes:
    """The groups to wake after one transaction, in one message."""

    def __init__(self) -> None:
        self.groups: dict[str, None] = {}

    def __call__(self) -> None:
        wake(*self.groups)


def wake_on_commit(*groups: str) -> None:
    """Wake `groups` when the present transaction commits, together with what it wakes already."""
    connection = transaction.get_connection()
    savepoints = set(connection.savepoint_ids)
    for sids, call, _ in connection.run_on_commit:
        # Only within the same savepoint: a rollback to it drops all of its calls.
        if isinstance(call, _Wakes) and sids == savepoints:
            call.groups |= dict.fromkeys(groups)
            return
    wakes = _Wakes()
    wakes.groups |= dict.fromkeys(groups)
    transaction.on_commit(wakes)


@contextlib.asynccontextmanager
async def listening(*groups: str) -> AsyncIterator[Waiter]:
    """From here on a wake of one of the groups is noticed, also between two waits."""
    waiter = Waiter(await _hub())
    waiter.listen(*groups)
    try:
        yield waiter
    finally:
        waiter.forget()


class Waiter:
    """One listener. Made by `listening`."""

    def __init__(self, hub: _Hub) -> None:
        self._hub = hub
        self._woken = asyncio.Event()
        self._groups: set[str] = set()
        self._rung: set[str] = set()
        self._is_forgotten = False

    def listen(self, *groups: str) -> None:
        """From here on wakes of these groups are noticed too. Works on any thread."""
        self._groups.update(groups)
        self._hub.add(groups, self)
        if self._is_forgotten:  # a thread may outlive the request that it works for
            self._hub.remove(groups, self)

    def forget(self) -> None:
        self._is_forgotten = True
        self._hub.remove(tuple(self._groups), self)

    async def wait(self, timeout_s: float) -> bool:
        """Until woken (True), or until it is time to look again (False), which is `timeout_s` at
        the latest and often earlier: the caller checks its own deadline."""
        recheck_s = RECHECK_S if self._hub.is_subscribed else DEGRADED_RECHECK_S
        limit_s = min(timeout_s, recheck_s * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
        try:
            async with asyncio.timeout(max(0.0, limit_s)):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def rung(self) -> set[str]:
        """The groups that were woken since this was asked last; all of them where nobody can know."""
        rung, self._rung = self._rung, set()
        return rung if self._hub.is_subscribed else set(self._groups)

    def notify(self, *groups: str) -> None:
        """Without groups: any of them may have been woken."""
        self._rung.update(groups or self._groups)
        self._woken.set()


class _Hub:
    """All listeners of one event loop and the one Redis subscription that feeds them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: dict[str, set[Waiter]] = defaultdict(set)
        self._waiters_lock = threading.Lock()
        self._settled = asyncio.Event()  # the first attempt to subscribe succeeded or failed
        self.is_subscribed = False
        self._complaint = redis.Complaint()
        self._task = loop.create_task(self._run(), name="wakeup hub")

    @property
    def is_running(self) -> bool:
        return not self._task.done()

    async def settle(self) -> None:
        if self._settled.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT_S):
                await self._settled.wait()
        self._settled.set()

    def add(self, groups: Iterable[str], waiter: Waiter) -> None:
        with self._waiters_lock:
            for group in groups:
                self._waiters[group].add(waiter)

    def remove(self, groups: Iterable[str], waiter: Waiter) -> None:
        with self._waiters_lock:
            for group in groups:
                self._waiters[group].discard(waiter)
                if not self._waiters[group]:
                    del self._waiters[group]

    def notify(self, groups: Iterable[str]) -> None:
        with self._waiters_lock:
            found = [(waiter, group) for group in groups for waiter in self._waiters.get(group, ())]
        for waiter, group in found:
            waiter.notify(group)

    def notify_from_thread(self, groups: tuple[str, ...]) -> None:
        if not any(group in self._waiters for group in groups):
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
            self._loop.call_soon_threadsafe(self.notify, groups)

    def _notify_all(self) -> None:
        """Messages may have been missed: everybody looks again, spread over half a second."""
        with self._waiters_lock:
            everybody = {waiter for group in self._waiters.values() for waiter in group}
        for waiter in everybody:
            self._loop.call_later(random.uniform(0, 0.5), waiter.notify)  # noqa: S311 - jitter

    async def _run(self) -> None:
        while True:
            try:
                await self._receive()
            except (RedisError, OSError, TimeoutError) as error:
                self._complaint.say("wake-ups through Redis are off; polling instead", error)
            if self.is_subscribed:
                self.is_subscribed = False
                self._notify_all()
            self._settled.set()
            await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - jitter

    async def _receive(self) -> None:
        client = aioredis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(_channel())
            is_silent = False
            while True:
                message = await pubsub.get_message(timeout=PING_AFTER_S)
                if message is not None:
                    is_silent = False
                    self._receive_message(message)
                elif is_silent:
                    raise RedisConnectionError("Redis does not answer")
                else:
                    is_silent = True
                    await pubsub.ping()

    def _receive_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self.is_subscribed = True
            self._settled.set()
            self._notify_all()
        elif message["type"] == "message":
            origin, *groups = message["data"].split(b" ")
            if origin != _ORIGIN:
                self.notify(tuple(group.decode() for group in groups))


async def _hub() -> _Hub:
    loop = asyncio.get_running_loop()
    with _hubs_lock:
        hub = _hubs.get(loop)
        if hub is None or not hub.is_running:
            for closed in [other for other in _hubs if other.is_closed()]:
                del _hubs[closed]
            hub = _hubs[loop] = _Hub(loop)
    await hub.settle()
    return hub


def _channel() -> str:
    return f"{settings.REDIS_PREFIX}:wake"
