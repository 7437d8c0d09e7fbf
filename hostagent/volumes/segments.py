"""A raw stream to pieces of a fixed raw size, each a zstd frame of its own, and back.

The cut depends on the raw bytes alone: the same snapshot gives the same pieces, so that an upload which was
cut off finds its pieces in the bucket.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

from hostagent.volumes.errors import ObjectWrong
from hostagent.volumes.manifest import SEGMENT_RAW_BYTES, Segment
from hostagent.volumes.stream import Buffer

LEVEL = 3


@dataclass(frozen=True, slots=True)
class Piece:
    segment: Segment
    data: bytes


class Packer:
    """Takes a stream in parts of any size, gives pieces. Holds one piece in memory."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True, write_checksum=True)
        self._sha256 = hashlib.sha256()
        # One for all pieces: fresh memory for each costs as much time as its compression.
        self._room = memoryview(bytearray(SEGMENT_RAW_BYTES))
        self._filled = 0
        self.raw_bytes = 0

    @property
    def raw_sha256(self) -> str:
        return self._sha256.hexdigest()

    def add(self, parts: Iterable[Buffer]) -> Iterator[Piece]:
        for part in parts:
            view = memoryview(part)
            while view:
                count = min(len(view), SEGMENT_RAW_BYTES - self._filled)
                self._room[self._filled : self._filled + count] = view[:count]
                self._filled += count
                view = view[count:]
                if self._filled == SEGMENT_RAW_BYTES:
                    yield self._pack()

    def rest(self) -> Iterator[Piece]:
        """The last piece, if there is one."""
        if self._filled:
            yield self._pack()

    def _pack(self) -> Piece:
        raw = self._room[: self._filled]
        self._filled = 0
        self._sha256.update(raw)
        self.raw_bytes += len(raw)
        data = self._compressor.compress(raw)
        return Piece(Segment(hashlib.sha256(data).hexdigest(), len(data), len(raw)), data)


def unpack(segment: Segment, data: bytes) -> bytes:
    """The raw bytes of a segment whose sha256 was checked already. Never more than it says."""
    try:
        if zstandard.frame_content_size(data) != segment.raw_bytes:
            raise ObjectWrong(f"holds a frame that is not of {segment.raw_bytes} bytes")
        return zstandard.ZstdDecompressor().decompress(
            data, max_output_size=segment.raw_bytes, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise ObjectWrong(f"holds no zstd frame: {error}") from error
