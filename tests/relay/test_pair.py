"""Two connections made one, on both event loops that we run on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from relay import Pair, attach, reset
from relay.pair import BUFFER_BYTES

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def call(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(work, 20))

    return call


class Joined:
    """`left` and `right` are the far ends of a pair's two connections."""

    def __init__(self) -> None:
        self.count = 0
        self.pair = Pair(self._count)
        (self.left, self._one), (self.right, self._other) = _connected(), _connected()

    def _count(self, number: int) -> None:
        self.count += number

    async def __aenter__(self) -> Joined:
        await attach(self._one, self.pair.one)
        await attach(self._other, self.pair.other)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left.close()
        self.right.close()
        await self.pair.closed.wait()


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near = listener.accept()[0]
    for sock in (far, near):
        sock.setblocking(False)
    return far, near


async def read_all(sock: socket.socket) -> bytes:
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(sock, 65536):
        parts.append(part)
    return b"".join(parts)


def test_bytes_and_half_closes_pass_both_ways(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with Joined() as joined:
            await loop.sock_sendall(joined.left, b"question")
            joined.left.shutdown(socket.SHUT_WR)
            assert await read_all(joined.right) == b"question"
            assert not joined.pair.closed.is_set()
            await loop.sock_sendall(joined.right, b"answer")
            joined.right.shutdown(socket.SHUT_WR)
            assert await read_all(joined.left) == b"answer"
            await joined.pair.closed.wait()
            assert joined.count == len(b"questionanswer")

    run(work())


def test_large_answer_after_the_half_close_is_whole(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        data = bytes(range(256)) * 40_000
        async with Joined() as joined:
            joined.left.shutdown(socket.SHUT_WR)

            async def send() -> None:
                await loop.sock_sendall(joined.right, data)
                joined.right.close()

            sending = asyncio.create_task(send())
            assert await read_all(joined.left) == data
            await sending

    run(work())


@pytest.mark.parametrize("side", ["left", "right"])
def test_reset_passes(run: Callable[[Coroutine[Any, Any, None]], None], side: str) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with Joined() as joined:
            ends = {"left": joined.left, "right": joined.right}
            _, writer = await asyncio.open_connection(sock=ends.pop(side))
            (other,) = ends.values()
            reset(writer.transport)
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(other, 1)
            await joined.pair.closed.wait()

    run(work())


def test_reader_that_stops_stops_the_sender(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with Joined() as joined:
            sent = 0

            async def send() -> None:
                nonlocal sent
                while True:
                    await loop.sock_sendall(joined.left, bytes(65536))
                    sent += 65536

            sending = asyncio.create_task(send())
            last = -1
            while last != sent:
                last = sent
                await asyncio.sleep(0.2)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            transport = joined.pair.other._transport
            assert transport is not None
            assert 0 < transport.get_write_buffer_size() <= 4 * BUFFER_BYTES
            reading = asyncio.create_task(read_all(joined.right))
            joined.left.shutdown(socket.SHUT_WR)
            assert len(await reading) >= sent

    run(work())


def test_bytes_that_come_before_the_other_end_are_kept(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        joined = Joined()
        await loop.sock_sendall(joined.left, b"early")
        joined.left.shutdown(socket.SHUT_WR)
        await attach(joined._one, joined.pair.one)
        await asyncio.sleep(0.1)
        await attach(joined._other, joined.pair.other)
        assert await read_all(joined.right) == b"early"
        joined.left.close()
        joined.right.close()
        await joined.pair.closed.wait()

    run(work())


def test_abort_cuts_also_what_is_attached_later(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def work() -> None:
        joined = Joined()
        await attach(joined._one, joined.pair.one)
        joined.pair.abort()
        await attach(joined._other, joined.pair.other)
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(joined.left, 1)
        assert await loop.sock_recv(joined.right, 1) == b""
        joined.left.close()
        joined.right.close()
        await joined.pair.closed.wait()

    run(work())
