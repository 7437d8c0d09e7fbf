"""Joins one client's WebSocket to one exec on its host, until the exec has ended or one of them is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from execs.flow import Input, OutputWindow
from execs.messages import output_message
from execwire import client
from execwire.client import ExecConnection, ExecCut, Place
from execwire.frames import Ended, Frame, Gap, Open, Opened, Output, Room, StdinEnd

CONNECT_S = 35.0  # a host takes up to 30 s to thaw a sandbox


class Client(Protocol):
    """The other end, as the bridge speaks to it."""

    async def tell(self, kind: str, **fields: Any) -> None: ...

    async def send(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None: ...


class Bridge:
    def __init__(
        self, other: Client, window: OutputWindow, taken: Input, controls: asyncio.Queue[Frame]
    ) -> None:
        self._client = other
        self._window = window
        self._input = taken
        self._controls = controls  # they pass input that nobody reads
        self._accepted = 0

    async def run(self, place: Place, opening: Open, on_opened: Callable[[Opened], Awaitable[None]]) -> Ended:
        """Raises ExecRefused; ExecCut or OSError where the exec may go on; TooSlow."""
        async with asyncio.timeout(CONNECT_S):
            connection = await client.connect(place)
        try:
            await connection.send(opening)
            feeding = [
                asyncio.create_task(self._feed(connection)),
                asyncio.create_task(self._steer(connection)),
            ]
            try:
                return await self._tell(connection, on_opened)
            finally:
                for task in feeding:
                    task.cancel()
                await asyncio.gather(*feeding, return_exceptions=True)
        finally:
            connection.close()

    async def _tell(
        self, connection: ExecConnection, on_opened: Callable[[Opened], Awaitable[None]]
    ) -> Ended:
        async for frame in connection.frames():
            match frame:
                case Opened():
                    await on_opened(frame)
                case Output():
                    await self._window.room()
                    self._window.sent[frame.stream] = frame.offset + len(frame.data)
                    await self._client.send(bytes_data=output_message(frame))
                case Gap():
                    self._window.sent[frame.stream] = frame.offset + frame.bytes
                    await self._client.tell(
                        "gap", stream=int(frame.stream), offset=frame.offset, bytes=frame.bytes
                    )
                case Room():
                    self._accepted += frame.bytes
                    await self._client.tell("stdin", bytes=self._accepted)
                case Ended():
                    return frame
        raise ExecCut("the connection to the exec ended")

    async def _feed(self, connection: ExecConnection) -> None:
        with contextlib.suppress(OSError):  # `_tell` sees the end of the connection, and what came before it
            while True:
                part = await self._input.get()
                if part is None:
                    await connection.send(StdinEnd())
                else:
                    await connection.write(part)

    async def _steer(self, connection: ExecConnection) -> None:
        with contextlib.suppress(OSError):
            while True:
                await connection.send(await self._controls.get())
