"""Where an image is imported from, as the bytes of tarballs: a file, standard input, or an OCI layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from hostagent.errors import AgentError

PART_BYTES = 1 << 20
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
XZ, BZIP2 = b"\xfd7zXZ", b"BZh"
STDIN = "-"


class Tarball:
    """Its uncompressed bytes, once; `sha256` is of the bytes as they came, when all were read."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = _Summed(source)

    @property
    def sha256(self) -> str:
        return self._source.sum.hexdigest()

    def parts(self) -> Iterator[bytes]:
        """AgentError where the compression is damaged, or not one of ours."""
        buffered: io.BufferedReader = io.BufferedReader(self._source, PART_BYTES)
        opened = _uncompressed(buffered)
        try:
            while part := opened.read(PART_BYTES):
                yield part
            while buffered.read(PART_BYTES):  # what comes after belongs to the sum
                continue
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            raise AgentError(f"the tarball cannot be read: {error}", "was it copied as a whole?") from error


@contextmanager
def opened(source: str) -> Iterator[Tarball]:
    if source == STDIN:
        yield Tarball(sys.stdin.buffer)
        return
    try:
        with Path(source).open("rb") as file:
            yield Tarball(file)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise AgentError(f"{source}: {error.strerror}", "name a tarball or an OCI layout") from error


def _uncompressed(source: io.BufferedReader) -> IO[bytes]:
    magic = source.peek(8)
    if magic.startswith(GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=source))
    if magic.startswith(ZSTD):
        reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        return cast("IO[bytes]", reader)
    for other, program in ((XZ, "xz -dc"), (BZIP2, "bzip2 -dc")):
        if magic.startswith(other):
            raise AgentError(
                "this compression is not read here", f"{program} FILE | hostagent image import NAME -"
            )
    return source


class _Summed(io.RawIOBase):
    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.sum = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._source.read(len(buffer))
        self.sum.update(part)
        buffer[: len(part)] = part
        return len(part)
