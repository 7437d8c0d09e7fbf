"""What one held sandbox still has to tell the server: that it is up, what happens in it, its volume's size,
how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice

import structlog

from hostagent.heldwire import SandboxEnded, SandboxEnding, SandboxKey, SandboxRunning, VolumeSize
from hostagent.outbox import Box, Sent
from hostagent.wire import Result, SandboxEvent, SandboxItem

logger = structlog.get_logger(__name__)

EVENTS_A_REPORT = 100


class SandboxBox:
    def __init__(self, key: SandboxKey, wake: Callable[[Box], None], stale: asyncio.Event) -> None:
        """`stale` is set when the server says that the sandbox is not ours any more."""
        self.settled = asyncio.Event()  # the server has the end, or does not want it
        self._stale = stale
        self._key = key
        self._wake = wake
        self._running: SandboxRunning | None = None
        self._events: dict[SandboxEvent, None] = {}  # in their order
        self._ending: SandboxEnding | None = None
        self._size: VolumeSize | None = None
        self._end: SandboxEnded | None = None

    def tell(self, item: SandboxItem) -> None:
        """A size takes the place of an older one that was not sent, but never an answer to a sync."""
        if isinstance(item, SandboxRunning):
            self._running = item
        elif isinstance(item, SandboxEnding):
            self._ending = item
        elif isinstance(item, SandboxEnded):
            self._end = item
        elif not isinstance(item, VolumeSize):
            self._events[item] = None
        elif self._size is None or item.sync >= self._size.sync:
            self._size = item
        self._wake(self)

    def collect(self) -> list[Sent]:
        if self.settled.is_set() or self._stale.is_set():
            return []
        events = list(islice(self._events, EVENTS_A_REPORT))
        last = (self._ending, self._size, self._end) if len(events) == len(self._events) else ()
        return [Sent(item) for item in (self._running, *events, *last) if item is not None]

    def take(self, sent: Sent, result: Result) -> bool:
        """Note what became of an item. False: what was sent after it does not count."""
        if result.status == 409 and result.code == "stale_lease":
            self._stale.set()
            self.settled.set()
            return False
        if not 200 <= result.status < 300:
            logger.error("item_refused", sandbox=self._key.sandbox_id, code=result.code, error=result.error)
        self._done(sent)
        return True

    def _done(self, sent: Sent) -> None:
        if sent.item is self._running:
            self._running = None
        elif sent.item is self._ending:
            self._ending = None
        elif sent.item is self._size:
            self._size = None
        elif sent.item is self._end:
            self.settled.set()
        elif isinstance(sent.item, SandboxEvent):
            self._events.pop(sent.item, None)

    def give_up(self) -> None:
        """The server refuses what this sandbox says: no more than the end, then."""
        self._running = self._ending = self._size = None
        self._events.clear()
        if self._end is not None:
            self.settled.set()
