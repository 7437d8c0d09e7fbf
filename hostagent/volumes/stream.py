"""The format of `btrfs send` streams (protocol 1), as far as volumes need it.

    "btrfs-stream\\0", version (u32), then commands
    command:   length of the attributes (u32), kind (u16), checksum (u32), attributes
    attribute: kind (u16), length (u16), value

All little endian. Source: fs/btrfs/send.h of Linux.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import IntEnum

from hostagent.volumes.errors import PathTooLong, StreamInvalid

MAGIC = b"btrfs-stream\0"
VERSION = 1
HEADER = MAGIC + struct.pack("<I", VERSION)
COMMAND = struct.Struct("<IHI")
ATTRIBUTE = struct.Struct("<HH")
COMMAND_LIMIT_BYTES = 1 << 20  # the kernel's own are at most 64 KiB in protocol 1

# `btrfs receive` puts its directory before each path and takes at most 4095 bytes for both.
PATH_LIMIT_BYTES = 4000

Buffer = bytes | bytearray | memoryview


class Kind(IntEnum):
    SUBVOL = 1
    SNAPSHOT = 2
    MKFILE = 3
    MKDIR = 4
    MKNOD = 5
    MKFIFO = 6
    MKSOCK = 7
    SYMLINK = 8
    RENAME = 9
    LINK = 10
    UNLINK = 11
    RMDIR = 12
    SET_XATTR = 13
    REMOVE_XATTR = 14
    WRITE = 15
    CLONE = 16
    TRUNCATE = 17
    CHMOD = 18
    CHOWN = 19
    UTIMES = 20
    END = 21
    UPDATE_EXTENT = 22  # in a stream without data
    FALLOCATE = 23  # of protocol 2; `btrfs receive` takes it in any


class Attribute(IntEnum):
    UUID = 1
    CTRANSID = 2
    SIZE = 4
    PATH = 15
    PATH_TO = 16
    PATH_LINK = 17
    FILE_OFFSET = 18
    DATA = 19
    CLONE_UUID = 20
    CLONE_CTRANSID = 21
    CLONE_PATH = 22
    FALLOCATE_MODE = 25


_PATHS = frozenset({Attribute.PATH, Attribute.PATH_TO, Attribute.PATH_LINK, Attribute.CLONE_PATH})


def attributes(data: Buffer, body: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of each attribute between `body` and `end`."""
    at = body
    while at < end:
        if at + ATTRIBUTE.size > end:
            raise StreamInvalid("an attribute is cut off")
        kind, length = ATTRIBUTE.unpack_from(data, at)
        at += ATTRIBUTE.size
        if at + length > end:
            raise StreamInvalid("an attribute reaches beyond its command")
        yield kind, at, at + length
        at += length


def values(data: Buffer, body: int, end: int) -> dict[int, bytes]:
    """The attributes of a command. One that is named twice is not of the kernel."""
    found: dict[int, bytes] = {}
    for kind, start, stop in attributes(data, body, end):
        if kind in found:
            raise StreamInvalid(f"attribute {kind} is there twice")
        found[kind] = bytes(data[start:stop])
    return found


def _check_paths(data: Buffer, body: int, end: int) -> None:
    for kind, start, stop in attributes(data, body, end):
        if kind in _PATHS and stop - start > PATH_LIMIT_BYTES:
            raise PathTooLong(f"a path of {stop - start} bytes")


def command(kind: int, *pairs: tuple[int, bytes]) -> bytes:
    """A command with its checksum."""
    body = b"".join(ATTRIBUTE.pack(key, len(value)) + value for key, value in pairs)
    unsigned = COMMAND.pack(len(body), kind, 0) + body
    return COMMAND.pack(len(body), kind, crc32c(unsigned)) + body


def crc32c(data: Buffer) -> int:
    """Castagnoli's polynomial without the usual inversions, as send streams have it."""
    crc = 0
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


# Gets a buffer and where a command's attributes begin and end in it; answers what is to stand in its place,
# or None to leave it.
Handler = Callable[[bytes, int, int], bytes | None]


class Rewriter:
    """Passes a stream on, in parts of any size, while handlers look at some kinds of commands.

    Most commands are passed on without being looked into: 120,000 take 40 ms.
    """

    def __init__(self, handlers: Mapping[int, Handler], allowed: Collection[int] = frozenset(Kind)) -> None:
        self._handlers = handlers
        self._allowed = frozenset(map(int, allowed))
        self._rest = b""
        self._has_header = False
        self._is_ended = False
        self.commands = 0

    def feed(self, chunk: bytes) -> list[Buffer]:
        if not self._rest:
            return self._pass(chunk, 0)
        missing = self._missing(chunk)  # copied with what it completes, instead of all of a large chunk
        parts = self._pass(self._rest + chunk[:missing], 0)
        return parts if missing >= len(chunk) else parts + self._pass(chunk, missing)

    def _missing(self, chunk: bytes) -> int:
        """How much of `chunk` belongs to the command whose beginning is in the rest."""
        begin = self._rest + chunk[: COMMAND.size]
        if not self._has_header or len(begin) < COMMAND.size:
            return len(chunk)
        length: int = COMMAND.unpack_from(begin)[0]
        return COMMAND.size + length - len(self._rest)

    def _pass(self, data: bytes, at: int) -> list[Buffer]:
        view = memoryview(data)
        parts: list[Buffer] = []
        copied = at
        at += self._header(data)
        while (end := self._command(data, at)) is not None:
            kind = data[at + 4]
            handler = self._handlers.get(kind)
            instead = handler(data, at + COMMAND.size, end) if handler else None
            if instead is not None:
                parts += (view[copied:at], instead)
                copied = end
            at = end
        parts.append(view[copied:at])
        self._rest = data[at:]
        return parts

    def finish(self) -> None:
        """The stream must have come to its end."""
        if not self._is_ended or self._rest:
            raise StreamInvalid("the stream is cut off")

    def _header(self, data: bytes) -> int:
        if self._has_header or len(data) < len(HEADER):
            return 0
        if not data.startswith(HEADER):
            raise StreamInvalid("no send stream of protocol 1")
        self._has_header = True
        return len(HEADER)

    def _command(self, data: bytes, at: int) -> int | None:
        """Where the command at `at` ends; None while it is not all there."""
        if not self._has_header or at + COMMAND.size > len(data):
            return None
        if self._is_ended:
            raise StreamInvalid("the stream goes on after its end")
        length, kind, _ = COMMAND.unpack_from(data, at)
        if kind not in self._allowed:
            raise StreamInvalid(f"a command of kind {kind}")
        if length > COMMAND_LIMIT_BYTES:
            raise StreamInvalid(f"a command of {length} bytes")
        end: int = at + COMMAND.size + length
        if end > len(data):
            return None
        if length > PATH_LIMIT_BYTES:  # only then can a path be longer
            _check_paths(data, at + COMMAND.size, end)
        self._is_ended = kind == Kind.END
        self.commands += 1
        return end


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC = [_crc_of(byte) for byte in range(256)]
