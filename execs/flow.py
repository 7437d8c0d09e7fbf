"""What keeps a slow end of an exec's WebSocket from costing the server memory."""

from __future__ import annotations

import asyncio
from collections import deque

from execs.errors import InputOverflow
from execwire.frames import Stream

WINDOW_BYTES = 1024 * 1024  # of output, sent and not acknowledged
SILENT_WINDOW_BYTES = 16 * 1024 * 1024  # the same, for clients that acknowledge nothing
# Of input, not yet taken. Clients are asked to keep to 256 KiB; this is for those that paste at once.
INPUT_LIMIT_BYTES = 4 * 1024 * 1024
PART_BYTES = 64  # that each costs, also an empty one


class TooSlow(Exception):
    """A client that acknowledges nothing is too far behind."""


class OutputWindow:
    """How far a client may be behind."""

    def __init__(self, stdout: int, stderr: int) -> None:
        self.sent = {Stream.STDOUT: stdout, Stream.STDERR: stderr}
        self._acknowledged = dict(self.sent)
        self._is_silent = True
        self._moved = asyncio.Event()

    def acknowledge(self, stdout: int, stderr: int) -> None:
        for stream, offset in ((Stream.STDOUT, stdout), (Stream.STDERR, stderr)):
            if self._acknowledged[stream] <= offset <= self.sent[stream]:
                self._acknowledged[stream] = offset
        self._is_silent = False
        self._moved.set()

    async def room(self) -> None:
        """Until more may be sent. Raises TooSlow."""
        while self._behind() > WINDOW_BYTES:
            if self._is_silent:
                if self._behind() > SILENT_WINDOW_BYTES:
                    raise TooSlow
                return
            self._moved.clear()
            await self._moved.wait()

    def _behind(self) -> int:
        return sum(self.sent[stream] - self._acknowledged[stream] for stream in self.sent)


class Input:
    """What a client has sent for the command, in order."""

    def __init__(self) -> None:
        self._parts: deque[bytes | None] = deque()
        self._size = 0
        self._has_more = asyncio.Event()

    def put(self, part: bytes | None) -> None:
        """None: it ends here. Raises InputOverflow."""
        self._size += _cost(part)
        if self._size > INPUT_LIMIT_BYTES:
            raise InputOverflow
        self._parts.append(part)
        self._has_more.set()

    async def get(self) -> bytes | None:
        while not self._parts:
            self._has_more.clear()
            await self._has_more.wait()
        part = self._parts.popleft()
        self._size -= _cost(part)
        return part


def _cost(part: bytes | None) -> int:
    return PART_BYTES + len(part or b"")
