"""A caller of execs in a real sandbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from execwire import client
from execwire.client import ExecConnection, Place, Result
from execwire.frames import Ended, FromHost, Gap, Open, Output
from tests.dataport.signer import Signer
from tests.privileged.sandbox import new_id


@dataclass
class Reader:
    """Frames of one connection, as they have come so far."""

    connection: ExecConnection
    frames: list[FromHost] = field(default_factory=list)
    end: Ended | None = None
    error: Exception | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        try:
            async for frame in self.connection.frames():
                self.frames.append(frame)
                self.end = frame if isinstance(frame, Ended) else None
                self._changed.set()
        except (client.ExecCut, client.ExecRefused) as error:
            self.error = error
            self._changed.set()

    def data(self, stream: int = 1) -> bytes:
        return b"".join(f.data for f in self.frames if isinstance(f, Output) and f.stream == stream)

    def gaps(self) -> list[Gap]:
        return [f for f in self.frames if isinstance(f, Gap)]

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(20):
            while text not in self.data():
                await self._next()

    async def ended(self) -> Ended:
        async with asyncio.timeout(20):
            while self.end is None:
                await self._next()
        return self.end

    async def _next(self) -> None:
        if self.error is not None:
            raise self.error
        await self._changed.wait()
        self._changed.clear()


class Caller:
    def __init__(self, signer: Signer, sandbox_id: str, port: int) -> None:
        self.signer = signer
        self.port = port
        self.sandbox_id = sandbox_id

    @property
    def place(self) -> Place:
        ticket = self.signer.ticket(self.sandbox_id, "exec")
        return Place("127.0.0.1", self.port, self.sandbox_id, ticket)

    async def run(self, command: str | bytes, stdin: bytes = b"", **values: Any) -> Result:
        return await self.call(opening(command, **values), stdin)

    async def call(self, opening: Open, stdin: bytes = b"") -> Result:
        async with asyncio.timeout(60):
            return await client.run(self.place, opening, stdin)

    @contextlib.asynccontextmanager
    async def opened(self, opening: Open) -> AsyncIterator[Reader]:
        reader = Reader(await client.connect(self.place))
        await reader.connection.send(opening)
        following = asyncio.create_task(reader.follow())
        try:
            yield reader
        finally:
            following.cancel()
            reader.connection.close()
            await asyncio.gather(following, return_exceptions=True)


def opening(command: str | bytes, /, **values: Any) -> Open:
    data = command.encode() if isinstance(command, str) else command
    return Open(**({"exec_id": new_id(), "command": data} | values))
