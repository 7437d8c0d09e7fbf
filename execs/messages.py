"""What is said on an exec's WebSocket: docs/reference/websocket.md."""

from __future__ import annotations

import struct
import uuid
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from execs import limits
from execs.errors import BadMessage
from execs.services import Command
from execs.states import Origin
from execwire.frames import Name, Output, Size, Text, Whole

Seconds = Annotated[int, Meta(ge=1, le=limits.TIMEOUT_S_LIMIT)]
Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
_HEAD = struct.Struct(">BQ")  # stream, offset of the first byte


class OpenMessage(Struct, frozen=True, tag="open"):
    """The first. Without `command` it only joins; null is a login shell."""

    exec_id: Hex | None = None
    command: str | UnsetType | None = UNSET
    terminal: Size | None = None
    stdin: bool = False
    timeout: Seconds | None = None
    environment: dict[Name, Text] = {}
    stdout_offset: Whole = 0
    stderr_offset: Whole = 0

    @property
    def known(self) -> uuid.UUID | None:
        return None if self.exec_id is None else uuid.UUID(self.exec_id)

    def call(self) -> Command | None:
        """What to start; None where it is only to be joined. Raises BadMessage."""
        if isinstance(self.command, UnsetType):
            if self.exec_id is None:
                raise BadMessage("Give a command to start, or the exec_id of an exec to join.")
            return None
        if self.command is not None and not limits.is_command(self.command):
            raise BadMessage(f"command: {limits.COMMAND_RULE}.")
        return Command(
            self.command or "",
            Origin.SOCKET if self.terminal is None else Origin.TERMINAL,
            environment=self.environment,
            terminal=self.terminal,
            has_stdin=self.stdin or self.terminal is not None,
            timeout_s=self.timeout,
        )


class EofMessage(Struct, frozen=True, tag="eof"):
    """No more input."""


class ResizeMessage(Struct, frozen=True, tag="resize"):
    rows: Annotated[int, Meta(ge=1, le=4096)]
    columns: Annotated[int, Meta(ge=1, le=4096)]


class SignalMessage(Struct, frozen=True, tag="signal"):
    signal: Annotated[str, Meta(max_length=16)]

    @property
    def name(self) -> str:
        """Raises BadMessage."""
        found = self.signal.upper().removeprefix("SIG")
        if found not in limits.SIGNALS:
            raise BadMessage(f"signal: must be one of {', '.join(sorted(limits.SIGNALS))}.")
        return found


class AckMessage(Struct, frozen=True, tag="ack"):
    """Everything before these offsets was dealt with."""

    stdout_offset: Whole
    stderr_offset: Whole


Message = OpenMessage | EofMessage | ResizeMessage | SignalMessage | AckMessage
_TAGS = frozenset({"open", "eof", "resize", "signal", "ack"})


def message_of(values: dict[str, object]) -> Message | None:
    """None for what is not understood. Raises BadMessage for what is, but has a field that is wrong."""
    if values.get("type") not in _TAGS:
        return None
    try:
        found: Message = msgspec.convert(values, Message)
    except msgspec.ValidationError as error:
        raise BadMessage(f"{values['type']}: {error}.") from error
    return found


def output_message(output: Output) -> bytes:
    return _HEAD.pack(output.stream, output.offset) + output.data
