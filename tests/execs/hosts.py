"""The data port of a host that does as it is told, over real TCP: for what real ones do by accident only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Self

from execwire import frames
from execwire.frames import Ended, Failed, Frame, FromCaller, Open, Opened, Outcome, Output, Stream

Hear = Callable[[], Awaitable[FromCaller | None]]
Say = Callable[[Frame], Awaitable[None]]
Play = Callable[[Open, Say, Hear], Awaitable[None]]
AT_MS = 1_763_881_800_000


class ScriptedHost:
    """Plays one play for each connection, the last one for all that follow. A text refuses with that code."""

    def __init__(self, *plays: Play | str) -> None:
        self.plays: list[Play | str] = list(plays) or [ended()]
        self.openings: list[Open] = []
        self.heard: list[FromCaller] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _close(self) -> None:
        self._server.close()
        for _ in range(5):  # what was accepted just now has come to `_accept` by then
            await asyncio.sleep(0)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for writer in self._writers:  # a task that was cancelled before its first step has closed nothing
            writer.transport.abort()
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.ensure_future(self._talk(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._connect(reader, writer)
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                await writer.wait_closed()  # the loop may be stopped as soon as this task is over

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
        if isinstance(play, str):
            writer.write(b"HTTP/1.1 404 No\r\n\r\n" + json.dumps({"code": play, "error": play}).encode())
            return
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        opening = await frames.read(reader, frames.caller_frames)
        assert isinstance(opening, Open)
        self.openings.append(opening)

        async def say(frame: Frame) -> None:
            writer.write(frames.encode(frame))
            await writer.drain()

        async def hear() -> FromCaller | None:
            found = await frames.read(reader, frames.caller_frames)
            if found is not None:
                self.heard.append(found)
            return found

        await play(opening, say, hear)
        with contextlib.suppress(OSError):
            await writer.drain()


def ended(
    stdout: bytes = b"", stderr: bytes = b"", code: int | None = 0, outcome: Outcome = Outcome.EXITED
) -> Play:
    """Ran, and is over."""

    async def play(opening: Open, say: Say, hear: Hear) -> None:
        await say(Opened(opening.command is not None, opening.command is None))
        for stream, data, offset in (
            (Stream.STDOUT, stdout, opening.stdout),
            (Stream.STDERR, stderr, opening.stderr),
        ):
            for at in range(offset, len(data), frames.DATA_LIMIT_BYTES):
                await say(Output(stream, at, data[at : at + frames.DATA_LIMIT_BYTES]))
        await say(Ended(outcome, code, len(stdout), len(stderr), AT_MS))

    return play


def running(stdout: bytes = b"") -> Play:
    """Says something, and then nothing more, until the caller is gone."""

    async def play(opening: Open, say: Say, hear: Hear) -> None:
        await say(Opened(opening.command is not None))
        if stdout[opening.stdout :]:
            await say(Output(Stream.STDOUT, opening.stdout, stdout[opening.stdout :]))
        while await hear() is not None:
            pass

    return play


def cut(stdout: bytes = b"") -> Play:
    """Says something, and is gone."""

    async def play(opening: Open, say: Say, hear: Hear) -> None:
        await say(Opened(is_new=True))
        await say(Output(Stream.STDOUT, opening.stdout, stdout))

    return play


def failing(code: str) -> Play:
    async def play(opening: Open, say: Say, hear: Hear) -> None:
        await say(Failed(code, f"it is {code}"))

    return play


def closed_port() -> int:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
