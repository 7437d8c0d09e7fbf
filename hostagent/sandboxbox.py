"""What one held sandbox still has to tell the server: that it is up, its volume's size, how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from hostagent.heldwire import SandboxEnded, SandboxEnding, SandboxKey, SandboxRunning, VolumeSize
from hostagent.outbox import Box, Sent
from hostagent.wire import Result

logger = structlog.get_logger(__name__)


class SandboxBox:
    def __init__(self, key: SandboxKey, wake: Callable[[Box], None], stale: asyncio.Event) -> None:
        """`stale` is set when the server says that the sandbox is not ours any more."""
        self.settled = asyncio.Event()  # the server has the end, or does not want it
        self._stale = stale
        self._key = key
        self._wake = wake
        self._running: SandboxRunning | None = None
        self._ending: SandboxEnding | None = None
        self._size: VolumeSize | None = None
        self._end: SandboxEnded | None = None

    def tell(self, item: SandboxRunning | SandboxEnding | VolumeSize | SandboxEnded) -> None:
        """A size takes the place of an older one that was not sent, but never an answer to a sync."""
        if isinstance(item, SandboxRunning):
            self._running = item
        elif isinstance(item, SandboxEnding):
            self._ending = item
        elif isinstance(item, SandboxEnded):
            self._end = item
        elif self._size is None or item.sync >= self._size.sync:
            self._size = item
        self._wake(self)

    def collect(self) -> list[Sent]:
        if self.settled.is_set() or self._stale.is_set():
            return []
        items = (self._running, self._ending, self._size, self._end)
        return [Sent(item) for item in items if item is not None]

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

    def give_up(self) -> None:
        """The server refuses what this sandbox says: no more than the end, then."""
        self._running = self._ending = self._size = None
        if self._end is not None:
            self.settled.set()
