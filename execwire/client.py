"""A caller's end: connect to the data port of a sandbox's host, and start or join an exec there."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from execwire import frames
from execwire.frames import (
    NOTHING_BYTES,
    Ended,
    Failed,
    Frame,
    FromHost,
    Gap,
    Open,
    Opened,
    Output,
    Room,
    Stdin,
    Stream,
)
from relay import watch

HEAD_LIMIT_BYTES = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


class ExecRefused(Exception):
    """Nothing was started. `code`: docs/reference/data-port.md and exec-protocol.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ExecCut(Exception):
    """The connection ended before the exec did. It goes on: join it again from the offsets that were read."""


@dataclass(frozen=True, slots=True)
class Place:
    """A sandbox on its host, and the right to start execs in it."""

    address: str
    data_port: int
    sandbox_id: str
    ticket: str


@dataclass(slots=True)
class Result:
    """All that came of an exec, from the offsets that were asked for."""

    end: Ended
    stdout: bytes
    stderr: bytes
    gaps: list[Gap] = field(default_factory=list)


class ExecConnection:
    """One connection to one exec. Frames must be read for `write` to go on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._room = frames.ROOM_BYTES
        self._has_room = asyncio.Event()
        self._has_room.set()

    def close(self) -> None:
        self._writer.close()

    async def send(self, frame: Frame) -> None:
        self._writer.write(frames.encode(frame))
        await self._writer.drain()

    async def write(self, data: bytes) -> None:
        """Input for the command; returns when all was sent, not when it was read."""
        while data:
            await self._has_room.wait()
            part = data[: min(self._room, frames.DATA_LIMIT_BYTES)]
            data = data[len(part) :]
            self._room -= len(part)
            if not self._room:
                self._has_room.clear()
            await self.send(Stdin(part))

    async def finish(self) -> None:
        """Say no more. Returns once the host has dealt with all that was said; raises ExecRefused."""
        self._writer.write_eof()
        try:
            async for _ in self.frames():
                pass
        except ExecCut:
            return  # its answer to the end of what we said

    async def frames(self) -> AsyncIterator[FromHost]:
        """What the host says, up to and with `Ended`. Raises ExecRefused, or ExecCut."""
        while True:
            try:
                frame = await frames.read(self._reader, frames.host_frames)
            except ValueError as error:
                raise ExecCut("the host says what is no frame") from error
            match frame:
                case None:
                    raise ExecCut("the connection to the exec ended")
                case Failed():
                    raise ExecRefused(frame.code, frame.error)
                case Room():
                    self._room += frame.bytes
                    self._has_room.set()
                    yield frame
                case Ended():
                    yield frame
                    return
                case _:
                    yield frame


async def connect(place: Place) -> ExecConnection:
    """Raises ExecRefused, or OSError where the host is not there. How long to wait is for the caller to say:
    the thawing of a sandbox may take a while. `place.address` is an IP address."""
    reader, writer = await asyncio.open_connection(sock=await _socket(place))
    try:
        writer.write(
            f"CONNECT {place.sandbox_id}:exec HTTP/1.1\r\n"
            f"Proxy-Authorization: Bearer {place.ticket}\r\n\r\n".encode("ascii")
        )
        head = await reader.readuntil(b"\r\n\r\n")
        status = _STATUS.match(head)
        if status is None or status[1] != b"200":
            raise _refusal(await reader.read(HEAD_LIMIT_BYTES))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise ConnectionResetError("the data port closed the connection, or says no answer") from error
    except BaseException:
        writer.close()
        raise
    return ExecConnection(reader, writer)


async def _socket(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (place.address, place.data_port))
        watch(sock)  # an exec may say nothing for hours
    except BaseException:
        sock.close()
        raise
    return sock


def _refusal(body: bytes) -> ExecRefused:
    try:
        values = msgspec.json.decode(body, type=dict[str, str])
    except msgspec.DecodeError:
        values = {}
    return ExecRefused(values.get("code", "refused"), values.get("error", "the host refused the connection"))


async def state(place: Place, exec_id: str) -> Ended | None:
    """How an exec that was started before has ended; None while it runs."""
    connection = await connect(place)
    try:
        await connection.send(Open(exec_id, stdout=NOTHING_BYTES, stderr=NOTHING_BYTES))
        async for frame in connection.frames():
            if isinstance(frame, Ended):
                return frame
            if isinstance(frame, Opened) and not frame.is_over:
                return None
        raise ExecCut("the connection to the exec ended")
    finally:
        connection.close()


async def signal(place: Place, exec_id: str, name: str) -> None:
    """Send a signal (its name without SIG) to what runs; nothing happens where it has ended."""
    connection = await connect(place)
    try:
        await connection.send(Open(exec_id, stdout=NOTHING_BYTES, stderr=NOTHING_BYTES))
        await connection.send(frames.Signal(name))
        await connection.finish()
    finally:
        connection.close()


async def run(place: Place, opening: Open, stdin: bytes = b"") -> Result:
    """Start or join an exec and read it to its end. `stdin` is sent, and ended, where it has one."""
    connection = await connect(place)
    feeding = None
    try:
        await connection.send(opening)
        if opening.has_stdin:
            feeding = asyncio.create_task(_feed(connection, stdin))
        return await collect(connection)
    finally:
        if feeding is not None:
            feeding.cancel()  # the command may not have wanted all
            await asyncio.gather(feeding, return_exceptions=True)
        connection.close()


async def _feed(connection: ExecConnection, data: bytes) -> None:
    await connection.write(data)
    await connection.send(frames.StdinEnd())


async def collect(connection: ExecConnection) -> Result:
    parts: dict[Stream, list[bytes]] = {Stream.STDOUT: [], Stream.STDERR: []}
    gaps = []
    async for frame in connection.frames():
        match frame:
            case Output():
                parts[frame.stream].append(frame.data)
            case Gap():
                gaps.append(frame)
            case Ended():
                return Result(frame, b"".join(parts[Stream.STDOUT]), b"".join(parts[Stream.STDERR]), gaps)
    raise ExecCut("the connection to the exec ended")
