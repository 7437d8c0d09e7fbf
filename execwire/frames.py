"""What is said, each in one frame: its length in four bytes, the greatest first, then MessagePack."""

from __future__ import annotations

import asyncio
import struct
from enum import IntEnum, StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

FRAME_LIMIT_BYTES = 1 << 20
COMMAND_LIMIT_BYTES = 100 * 1024  # the kernel takes 128 KiB as one argument
DATA_LIMIT_BYTES = 64 * 1024  # of output or input in one frame
NOTHING_BYTES = 2**53  # an offset from which no output is wanted
ROOM_BYTES = 256 * 1024  # of input that a caller may send before it hears of more room
_LENGTH = struct.Struct(">I")

Whole = Annotated[int, Meta(ge=0, le=2**53)]
Cells = Annotated[int, Meta(ge=1, le=4096)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z", max_length=256)]
Text = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]


class Stream(IntEnum):
    STDOUT = 1
    STDERR = 2


class Outcome(StrEnum):
    """How an exec ended. Each is the end: it never changes."""

    EXITED = "exited"  # by itself, with `exit_code`
    SIGNALED = "signaled"  # `exit_code` is 128 and the signal's number, as shells say it
    TIMED_OUT = "timed_out"  # killed when its time was over
    OOM = "oom"  # killed by the kernel: the sandbox's memory was full
    KILLED = "killed"  # as somebody asked for with `Kill`
    LOST = "lost"  # nobody knows: the sandbox or the shim went, and left no exit code


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Any of those below."""


class Size(msgspec.Struct, frozen=True):
    """Of a terminal's window."""

    rows: Cells
    columns: Cells


# --- From the caller ---


class Open(Frame, frozen=True, tag="open"):
    """The first frame. With a command: start it, unless an exec of that id was started before: then be
    connected to that one, and whatever else is said here is not looked at. Without: only be connected."""

    exec_id: Annotated[str, Meta(pattern=r"^[a-z0-9]{8,32}\Z")]
    stdout: Whole = 0  # from which offset output is wanted
    stderr: Whole = 0
    command: Annotated[bytes, Meta(min_length=1, max_length=COMMAND_LIMIT_BYTES)] | None = None
    environment: dict[Name, Text] = {}
    directory: Annotated[str, Meta(pattern=r"^(/[^\x00]*)?\Z", max_length=4096)] = ""
    terminal: Size | None = None
    has_stdin: bool = False
    timeout_ms: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class Stdin(Frame, frozen=True, tag="stdin"):
    """Never more than there is room for."""

    data: Annotated[bytes, Meta(max_length=DATA_LIMIT_BYTES)]


class StdinEnd(Frame, frozen=True, tag="stdin_end"):
    """In a terminal: the character that means so."""


class Signal(Frame, frozen=True, tag="signal"):
    """To the command's process group."""

    name: Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]  # without SIG


class Resize(Frame, frozen=True, tag="resize"):
    size: Size


class Kill(Frame, frozen=True, tag="kill"):
    """All its processes, also those that it has left in the background."""


# --- From the host ---


class Opened(Frame, frozen=True, tag="opened"):
    is_new: bool  # it was started now
    is_over: bool = False  # it has ended: what follows is all there is


class Room(Frame, frozen=True, tag="room"):
    """So many bytes more of input may be sent."""

    bytes: Whole


class Output(Frame, frozen=True, tag="output"):
    stream: Stream
    offset: Whole  # of the first byte
    data: bytes


class Gap(Frame, frozen=True, tag="gap"):
    """So many bytes of a stream, from `offset` on, are not kept any more."""

    stream: Stream
    offset: Whole
    bytes: Whole


class Ended(Frame, frozen=True, tag="ended"):
    """The last frame, after all output."""

    outcome: Outcome
    exit_code: int | None  # of the command itself, read from what the shim has written; never guessed
    stdout: Whole  # bytes in all
    stderr: Whole
    at_ms: Whole  # Unix time


class Failed(Frame, frozen=True, tag="failed"):
    """The last frame, where there is nothing to be connected to."""

    code: str
    error: str


FromCaller = Open | Stdin | StdinEnd | Signal | Resize | Kill
FromHost = Opened | Room | Output | Gap | Ended | Failed

T = TypeVar("T")


def encode(frame: Frame) -> bytes:
    data = msgspec.msgpack.encode(frame)
    return _LENGTH.pack(len(data)) + data


caller_frames: msgspec.msgpack.Decoder[FromCaller] = msgspec.msgpack.Decoder(FromCaller)
host_frames: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)


async def read(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    """The next frame; None at the end of the connection, wherever that comes. Raises ValueError where it is
    no frame."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > FRAME_LIMIT_BYTES:
            raise ValueError(f"a frame of {length} bytes; at most {FRAME_LIMIT_BYTES} are taken")
        return decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except msgspec.DecodeError as error:
        raise ValueError(f"not a frame: {error}") from error
