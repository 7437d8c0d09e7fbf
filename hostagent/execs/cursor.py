"""One reader's way through the spool of an exec, from offsets of its own on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from execwire.frames import Gap, Output, Stream
from hostagent.execs.ledger import after, stream_of
from hostagent.execs.records import Cut, Mark
from hostagent.logs.spool import CHUNK_BYTES, Group, parse


class Cursor:
    def __init__(self, spool: Path, cut: Callable[[], Cut | None], stdout: int, stderr: int) -> None:
        """`cut` is asked again before each read: the middle may go while this reader is slow. Raises
        FileNotFoundError where the spool is gone."""
        self._cut = cut
        self._next = {Stream.STDOUT: stdout, Stream.STDERR: stderr}  # offsets that were not told yet
        self._mark = Mark()
        self._fd = os.open(spool, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self, *, is_last: bool) -> Iterator[Output | Gap]:
        """What there is by now. `is_last`: the spool grows no more."""
        while True:
            cut = self._cut()
            if cut is not None and cut.head.position <= self._mark.position < cut.tail.position:
                yield from gaps(self._next, cut.tail)
                self._mark = cut.tail
            chunk = os.pread(self._fd, self._length(cut), self._mark.position)
            begin = self._mark
            yield from self._outputs(chunk, is_last=is_last and len(chunk) < CHUNK_BYTES)
            if self._mark == begin:
                return

    def _length(self, cut: Cut | None) -> int:
        """Of the next read: up to a hole, not into it."""
        if cut is None or self._mark.position >= cut.tail.position:
            return CHUNK_BYTES
        return min(CHUNK_BYTES, cut.head.position - self._mark.position)

    def _outputs(self, chunk: bytes, *, is_last: bool) -> Iterator[Output]:
        """Neighbours of one stream together."""
        stream, parts = Stream.STDOUT, list[bytes]()
        for part in list(parse(chunk, self._mark.position, is_last=is_last)):
            offsets, self._mark = self._mark, after(self._mark, part)
            if not isinstance(part, Group):
                continue
            if stream is not stream_of(part):
                yield from self._output(stream, parts)
                stream, parts = stream_of(part), []
            begin = offsets.stdout if stream is Stream.STDOUT else offsets.stderr
            known = self._next[stream] + sum(map(len, parts)) - begin
            if known < part.size:
                parts.append(part.data()[max(0, known) :])
        yield from self._output(stream, parts)

    def _output(self, stream: Stream, parts: list[bytes]) -> Iterator[Output]:
        if parts:
            data, offset = b"".join(parts), self._next[stream]
            self._next[stream] += len(data)
            yield Output(stream, offset, data)


def gaps(wanted: dict[Stream, int], until: Mark) -> Iterator[Gap]:
    """What is not kept, of what is wanted; `wanted` is moved on."""
    for stream, end in ((Stream.STDOUT, until.stdout), (Stream.STDERR, until.stderr)):
        if wanted[stream] < end:
            yield Gap(stream, wanted[stream], end - wanted[stream])
            wanted[stream] = end
