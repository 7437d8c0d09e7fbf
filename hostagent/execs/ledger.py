"""Follows the spool of an exec while it grows: counts its streams, and keeps it from growing for ever.

Of one that is too long the beginning and the end are kept, half of the limit each; the middle is given back.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from execwire.frames import Stream
from hostagent.execs.records import Cut, Mark
from hostagent.linux import notify
from hostagent.linux.files import punch_hole
from hostagent.logs.spool import CHUNK_BYTES, Damage, Group, parse
from hostagent.logs.spool import Stream as SpoolStream

STEP_BYTES = 256 * 1024  # how exactly the end that is kept is as long as it should be
BLOCK_BYTES = 4096


def after(mark: Mark, part: Group | Damage) -> Mark:
    """The mark behind a part that begins at `mark`."""
    if isinstance(part, Damage):
        return Mark(part.end_position, mark.stdout, mark.stderr)
    is_out = stream_of(part) is Stream.STDOUT
    return Mark(part.end_position, mark.stdout + part.size * is_out, mark.stderr + part.size * (not is_out))


def stream_of(group: Group) -> Stream:
    return Stream.STDOUT if group.stream is SpoolStream.STDOUT else Stream.STDERR


class Ledger:
    def __init__(self, spool: Path, limit_bytes: int, cut: Cut | None, save: Callable[[Cut], None]) -> None:
        """`save` persists a cut before it is made. Raises FileNotFoundError where the spool is gone."""
        self._spool = spool
        self._half = limit_bytes // 2
        self._cut = cut
        self._save = save
        self._head = cut.head if cut else None
        self._mark = cut.tail if cut else Mark()
        self._marks = deque([self._mark])
        self._fd = os.open(spool, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    async def follow(self) -> None:
        """Until it is cancelled."""
        with notify.shared().subscribe(self._spool.parent, notify.MODIFY) as changes:
            while True:
                await self._catch_up(is_last=False)
                await changes.wait()

    async def finish(self) -> Mark:
        """The spool's end, now that it grows no more."""
        await self._catch_up(is_last=True)
        return self._mark

    async def _catch_up(self, *, is_last: bool) -> None:
        while chunk := os.pread(self._fd, CHUNK_BYTES, self._mark.position):
            begin = self._mark
            for part in parse(chunk, begin.position, is_last=is_last and len(chunk) < CHUNK_BYTES):
                self._advance(after(self._mark, part))
            self._give_back()
            if self._mark == begin:
                return
            await asyncio.sleep(0)  # a flood must not keep everybody else waiting

    def _advance(self, mark: Mark) -> None:
        self._mark = mark
        if self._head is None and mark.position >= self._half:
            self._head = mark
        if mark.position - self._marks[-1].position >= STEP_BYTES:
            self._marks.append(mark)

    def _give_back(self) -> None:
        while len(self._marks) > 1 and self._marks[1].position <= self._mark.position - self._half:
            self._marks.popleft()
        tail = self._marks[0]
        if self._head is None:
            return
        given = self._cut.tail.position if self._cut else self._head.position
        if tail.position - given < STEP_BYTES:
            return
        self._cut = Cut(self._head, tail)
        self._save(self._cut)
        begin, end = (-(-given // BLOCK_BYTES) * BLOCK_BYTES, tail.position // BLOCK_BYTES * BLOCK_BYTES)
        if begin < end:
            punch_hole(self._fd, begin, end - begin)
