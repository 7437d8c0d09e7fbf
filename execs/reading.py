"""A part of an exec's output, read from its host."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from execwire import client
from execwire.client import ExecConnection, Place
from execwire.frames import NOTHING_BYTES, Ended, Gap, Open, Opened, Output, Stream

PAGE_BYTES = 1024 * 1024
QUIET_S = 0.05  # without more output: what there was is told
REPLAY_S = 10.0  # of one that has ended everything comes at once, up to its end
CONNECT_S = 35.0  # a host takes up to 30 s to thaw a sandbox


@dataclass(slots=True)
class Page:
    """A run of one stream. `offset` is where it begins."""

    offset: int
    data: bytes = b""
    gap_bytes: int = 0  # before it
    end: Ended | None = None  # it has ended, and nothing follows

    def take(self, frame: Output | Gap) -> bool:
        """False where it would not continue the page."""
        if isinstance(frame, Gap):
            if self.data:
                return False
            self.offset, self.gap_bytes = frame.offset + frame.bytes, self.gap_bytes + frame.bytes
            return True
        room = PAGE_BYTES - len(self.data)
        self.data += frame.data[:room]
        return len(frame.data) <= room


async def read(place: Place, exec_id: str, stream: Stream, offset: int, wait_s: float) -> Page:
    """What there is of a stream from `offset` on. Where there is nothing: waits for so long."""
    stdout, stderr = (offset if kind is stream else NOTHING_BYTES for kind in (Stream.STDOUT, Stream.STDERR))
    async with asyncio.timeout(CONNECT_S):
        connection = await client.connect(place)
        await connection.send(Open(exec_id, stdout, stderr))
    try:
        return await _page(connection, offset, wait_s)
    finally:
        connection.close()


async def _page(connection: ExecConnection, offset: int, wait_s: float) -> Page:
    page = Page(offset)
    quiet_s = QUIET_S
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(wait_s, QUIET_S)) as patience:
            async for frame in connection.frames():
                match frame:
                    case Opened() if frame.is_over:
                        quiet_s = REPLAY_S
                    case Ended():
                        page.end = frame
                    case Output() | Gap() if not page.take(frame):
                        break
                if isinstance(frame, Output | Gap) or quiet_s == REPLAY_S:
                    patience.reschedule(asyncio.get_running_loop().time() + quiet_s)
    return page
