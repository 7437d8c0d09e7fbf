"""An exec read to its end for a caller who waits for all of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from execwire import client
from execwire.client import ExecConnection, ExecCut, ExecRefused, Place
from execwire.frames import Ended, Gap, Open, Opened, Output, Stream

KEPT_BYTES = 1024 * 1024  # of each stream: what an answer holds
CONNECT_S = 35.0  # for one connection; a host takes up to 30 s to thaw a sandbox
AGAIN_S = 15.0  # so long a host that is away is tried again
NOTED_AFTER_S = 0.5  # what runs longer is written down as running
# The host may say something else in a moment: its agent or data port starts, or our ticket was too old.
PASSING = frozenset(
    {"unknown_state", "host_trouble", "not_awake", "no_keys", "too_many_connections", "bad_ticket",
     "ticket_expired", "too_slow"}
)  # fmt: skip


@dataclass(slots=True)
class Kept:
    """The beginning of one stream."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    next_offset: int = 0  # of the stream, whether kept or not
    has_gap: bool = False  # what follows one is not kept: it would look like the continuation

    def add(self, output: Output) -> None:
        self.next_offset = output.offset + len(output.data)
        room = KEPT_BYTES - self.size
        if room > 0 and not self.has_gap:
            part = output.data[:room]
            self.parts.append(part)
            self.size += len(part)

    def skip(self, gap: Gap) -> None:
        self.next_offset = gap.offset + gap.bytes
        self.has_gap = True

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


class Talk:
    """Has an exec started, or joins it, and reads it over as many connections as it takes. Ends with `end` or
    with `error`: then it goes on, if it was `started_at`."""

    def __init__(self, opening: Open, place: Callable[[], Awaitable[Place]]) -> None:
        """`place` is asked before each connection: tickets get old."""
        self._opening = opening
        self._place = place
        self.kept = {Stream.STDOUT: Kept(), Stream.STDERR: Kept()}
        self.was_asked = False  # the host may have heard of it
        self._opened = asyncio.Event()
        self._has_answered = False  # on the newest connection
        self.started_at: datetime | None = None
        self.end: Ended | None = None
        self.error: Exception | None = None

    async def run(self, on_running: Callable[[], Awaitable[None]]) -> None:
        """`on_running` is called where it does not end at once."""
        noting = asyncio.create_task(self._note(on_running))
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001 - told to whoever looks
            self.error = error
        finally:
            noting.cancel()
            await asyncio.gather(noting, return_exceptions=True)  # what is not noted now is by its end

    async def _note(self, on_running: Callable[[], Awaitable[None]]) -> None:
        await self._opened.wait()
        await asyncio.sleep(NOTED_AFTER_S)
        await on_running()

    async def _read(self) -> None:
        give_up_at = time.monotonic() + AGAIN_S
        attempt = 0
        while self.end is None:
            try:
                await self._read_once()
            except (OSError, ExecCut, ExecRefused) as error:
                if isinstance(error, ExecRefused) and error.code not in PASSING:
                    raise
                if isinstance(error, ExecCut) and self._has_answered:  # its patience begins anew
                    give_up_at, attempt = time.monotonic() + AGAIN_S, 0
                if time.monotonic() > give_up_at:
                    raise
                await asyncio.sleep(min(2.0, 0.05 * 2**attempt) * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
                attempt += 1

    async def _read_once(self) -> None:
        self._has_answered = False
        async with asyncio.timeout(CONNECT_S):
            connection = await client.connect(await self._place())
        try:
            offsets = {name.name.lower(): kept.next_offset for name, kept in self.kept.items()}
            self.was_asked = True
            await connection.send(msgspec.structs.replace(self._opening, **offsets))
            await self._take(connection)
        finally:
            connection.close()

    async def _take(self, connection: ExecConnection) -> None:
        async for frame in connection.frames():
            match frame:
                case Opened():
                    self.started_at = self.started_at or datetime.now(UTC)
                    self._opened.set()
                    self._has_answered = True
                case Output():
                    self.kept[frame.stream].add(frame)
                case Gap():
                    self.kept[frame.stream].skip(frame)
                case Ended():
                    self.end = frame
