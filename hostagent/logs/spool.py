"""Reads conmon's k8s-file spool.

Each line is `<RFC 3339 time, 9 digits, zone> <stdout|stderr> <F|P> <bytes>\\n`. F: the program wrote a
newline after these bytes. P: it did not; the line goes on in a later one. conmon reads at most 8 KiB
at once and writes all lines of one read with the same header, so a header that repeats marks a
`Group`, which is found and unpacked without looking at single lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache

HEADER_BYTES = 45
OVERHEAD_BYTES = HEADER_BYTES + 1  # what conmon adds to the bytes of a line
CHUNK_BYTES = 64 * 1024  # read at once: a few ms of work at most; the longest line of conmon has 8 KiB

_HEADER = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d std(?:out|err) [FP] "
# Greedy, not possessive, repeats: Debian 12's Python 3.11.2 takes half a last line into a possessive match.
# What the engine keeps to step back to is bounded by the chunk. 400 MB/s on 2-byte lines.
_GROUP = re.compile(rb"(" + _HEADER + rb")[^\n]*\n(?:\1[^\n]*\n)*")
_O = ord("o")
_F = ord("F")


class Stream(IntEnum):
    """Where output came from, as the host API numbers it."""

    STDOUT = 1
    STDERR = 2
    PLATFORM = 3


class Group:
    """Adjacent spool lines with one header: bytes [start, end) of `chunk`, which lies at `base`."""

    __slots__ = ("at_ns", "base", "chunk", "end", "is_whole", "size", "start", "stream")

    def __init__(self, chunk: bytes, base: int, start: int, end: int) -> None:
        self.chunk = chunk
        self.base = base
        self.start = start
        self.end = end
        # A plain class that works all of this out once: floods make millions of them.
        minute = _minute_ns(chunk[start : start + 17] + chunk[start + 29 : start + 35])
        # Unix time of conmon's read, ns.
        self.at_ns = (
            minute + int(chunk[start + 17 : start + 19]) * 1_000_000_000 + int(chunk[start + 20 : start + 29])
        )
        self.stream = Stream.STDOUT if chunk[start + 39] == _O else Stream.STDERR
        # Each line had its newline in the program's output.
        self.is_whole = chunk[start + 43] == _F
        # Bytes of output in it.
        self.size = end - start - chunk.count(b"\n", start, end) * (OVERHEAD_BYTES - self.is_whole)

    @property
    def position(self) -> int:
        """Where it begins in the spool."""
        return self.base + self.start

    @property
    def end_position(self) -> int:
        return self.base + self.end

    def data(self) -> bytes:
        """The program's bytes."""
        header = self.chunk[self.start : self.start + HEADER_BYTES]
        body = self.chunk[self.start + HEADER_BYTES : self.end]
        body = body.replace(b"\n" + header, b"\n")
        return body if self.is_whole else body.replace(b"\n", b"")

    def lines(self) -> Iterator[Group]:
        start = self.start
        while start < self.end:
            end = self.chunk.index(b"\n", start) + 1
            yield Group(self.chunk, self.base, start, end)
            start = end

    def rest(self, line: Group) -> Group:
        """This group from `line`, one of its own, on."""
        return Group(self.chunk, self.base, line.start, self.end)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of the spool that are no line of conmon's, e.g. after the disk was full."""

    position: int
    end_position: int


def parse(chunk: bytes, base: int, *, is_last: bool) -> Iterator[Group | Damage]:
    """The groups of `chunk`. A torn line at its end is left for the next read, unless it `is_last`."""
    position = 0
    while position < len(chunk):
        match = _GROUP.match(chunk, position)
        if match is not None:
            yield Group(chunk, base, position, match.end())
            position = match.end()
            continue
        newline = chunk.find(b"\n", position)
        if newline >= 0:
            end = newline + 1
        elif is_last or len(chunk) - position >= CHUNK_BYTES:
            end = len(chunk)
        else:
            return
        yield Damage(base + position, base + end)
        position = end


@lru_cache(maxsize=64)
def _minute_ns(minute: bytes) -> int:
    text = minute.decode("ascii")  # "2026-11-23T07:34:+00:00"
    try:
        moment = datetime.fromisoformat(text[:16] + text[17:])
        return max(0, int(moment.timestamp())) * 1_000_000_000
    except (ValueError, OverflowError):  # digits, but no date: conmon never writes one
        return 0


def incomplete_utf8(data: bytes) -> int:
    """How many bytes at the end of `data` begin a UTF-8 sequence that is not complete: 0-3."""
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4 if byte < 0xF8 else 1
            return length if needed > length else 0
    return 0
