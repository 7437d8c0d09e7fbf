"""A lease's output on this host, as it is sent: derived from the spool, kept until the lease is forgotten.

Keeping it apart from the spool means that a flood is thinned out and the spool given back even while the
server is away, and that any offset the server asks for can be sent again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hostagent.logs.flood import Segment
from hostagent.logs.spool import incomplete_utf8

RECORD_LIMIT_BYTES = 64 * 1024  # docs/reference/host-api.md
READ_BYTES = 4 * RECORD_LIMIT_BYTES  # holds any frame
RECORDS_LIMIT = 8192  # of one item; about 25 bytes of JSON each
_FRAME = struct.Struct("<QBxxxI")  # unix ms, stream, length; the bytes follow


@dataclass(frozen=True, slots=True)
class Place:
    """A point in the output: after `offset` bytes, `skip` bytes into the frame at `frame_at`."""

    offset: int = 0
    frame_at: int = 0
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Output from `begin` on, with the records [unix ms, stream, length] that cover it."""

    begin: Place
    end: Place
    records: list[tuple[int, int, int]]
    data: bytes


class Output:
    """The file. `stored` bytes of output take `file_bytes` in it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.stored = 0
        self.file_bytes = 0

    def close(self) -> None:
        os.close(self._fd)

    def rewind(self, stored: int, file_bytes: int) -> None:
        """Forget what was written after a checkpoint: it is derived again."""
        if os.fstat(self._fd).st_size < file_bytes:
            raise OSError(f"the output file is shorter than {file_bytes} bytes")
        os.ftruncate(self._fd, file_bytes)
        self.stored, self.file_bytes = stored, file_bytes

    def recover(self) -> None:
        """Take over all whole frames of a file whose spool is gone."""
        place = Place()
        for frame in self._frames(place):
            place = Place(place.offset + len(frame.data), place.frame_at + _FRAME.size + len(frame.data))
        os.ftruncate(self._fd, place.frame_at)
        self.stored, self.file_bytes = place.offset, place.frame_at

    def append(self, segments: Iterable[Segment]) -> None:
        parts: list[bytes] = []
        for segment in segments:
            for data in _pieces(segment.data):
                parts += (_FRAME.pack(segment.at_ms, segment.stream, len(data)), data)
                self.stored += len(data)
        blob = b"".join(parts)
        written = 0
        while written < len(blob):
            written += os.pwrite(self._fd, blob[written:], self.file_bytes + written)
        self.file_bytes += len(blob)

    def seek(self, offset: int) -> Place:
        """The place with `offset` bytes before it; it must be stored."""
        place = Place()
        while place.offset < offset:
            header = os.pread(self._fd, _FRAME.size, place.frame_at)
            _, _, length = _FRAME.unpack(header)
            if place.offset + length > offset:
                return Place(offset, place.frame_at, offset - place.offset)
            place = Place(place.offset + length, place.frame_at + _FRAME.size + length)
        return place

    def batch(self, begin: Place, limit_bytes: int) -> Batch:
        """About `limit_bytes` from `begin` on: at least one frame, at most one record more."""
        records: list[tuple[int, int, int]] = []
        parts: list[bytes] = []
        place = begin
        size = 0
        for frame in self._frames(begin):
            if size >= limit_bytes or len(records) >= RECORDS_LIMIT:
                break
            _add(records, parts, frame)
            size += len(frame.data)
            length = len(frame.data) + place.skip
            place = Place(begin.offset + size, place.frame_at + _FRAME.size + length)
        return Batch(begin, place, records, b"".join(parts))

    def _frames(self, place: Place) -> Iterator[Segment]:
        """Whole frames from `place` on; the first without what `place` skips."""
        skip = place.skip
        position = place.frame_at
        while True:
            buffer = os.pread(self._fd, READ_BYTES, position)
            start = 0
            while (end := start + _FRAME.size) <= len(buffer):
                at_ms, stream, length = _FRAME.unpack_from(buffer, start)
                if end + length > len(buffer):
                    break
                yield Segment(at_ms, stream, buffer[end + skip : end + length])
                skip = 0
                start = end + length
            if start == 0:
                return
            position += start


def _add(records: list[tuple[int, int, int]], parts: list[bytes], frame: Segment) -> None:
    """Append a frame to the records: to the last one, where it goes on the same moment or the same line."""
    data = frame.data
    if records and records[-1][1] == frame.stream:
        at_ms, stream, length = records[-1]
        joined = len(data)
        if at_ms != frame.at_ms:
            # Only the rest of a line that was begun: readers cut their entries at the ends of records.
            joined = 0 if parts[-1].endswith(b"\n") else data.find(b"\n") + 1 or len(data)
        if joined and length + joined <= RECORD_LIMIT_BYTES:
            records[-1] = (at_ms, stream, length + joined)
            parts.append(data[:joined])
            data = data[joined:]
    if data:
        records.append((frame.at_ms, frame.stream, len(data)))
        parts.append(data)


def _pieces(data: bytes) -> Iterator[bytes]:
    """`data` in parts of at most a record, cut after a newline or at least not inside a character."""
    start = 0
    while len(data) - start > RECORD_LIMIT_BYTES:
        end = data.rfind(b"\n", start, start + RECORD_LIMIT_BYTES) + 1
        if end == 0:
            whole = data[start : start + RECORD_LIMIT_BYTES]
            end = start + len(whole) - incomplete_utf8(whole)
        yield data[start:end]
        start = end
    yield data[start:]
