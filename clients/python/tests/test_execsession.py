"""A command that is followed live, against a WebSocket server that does what a test wants."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from fake_server import TOKEN
from websockets.asyncio.server import ServerConnection, serve

from mags import AsyncMags
from mags._async.execsession import AsyncExecSession
from mags.execmessages import INPUT_WINDOW_BYTES, Size

Script = Callable[[ServerConnection], Awaitable[None]]
PIECES, PIECE_BYTES = 100, 8192  # of output: more than is read at once, and less than waits for no answer


async def begun(connection: ServerConnection) -> dict[str, Any]:
    """What was opened. It runs from now on."""
    await connection.recv()  # the token
    opening: dict[str, Any] = json.loads(await connection.recv())
    await tell(connection, "state", state="running", exec_id=opening["exec_id"], is_joined=False)
    return opening


async def tell(connection: ServerConnection, kind: str, **fields: Any) -> None:
    await connection.send(json.dumps({"type": kind, **fields}))


async def end(connection: ServerConnection) -> None:
    await tell(connection, "end", exit_code=0, reason="exited", message="", stdout_bytes=0, stderr_bytes=0)


def spoken(script: Script, work: Callable[[AsyncMags], Awaitable[None]]) -> None:
    """Do `work` with a client whose server does `script` on each connection."""

    async def both() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that who does not read is felt
        port = listener.getsockname()[1]
        with anyio.fail_after(20):
            async with (
                serve(script, sock=listener, max_queue=1),
                AsyncMags(TOKEN, f"http://127.0.0.1:{port}", retry_for=5) as client,
            ):
                await work(client)

    asyncio.run(both())


def test_the_end_of_input_is_said_once() -> None:
    """In a terminal it is a character: another one would end the shell around what reads it."""
    said: list[str] = []

    async def script(connection: ServerConnection) -> None:
        await begun(connection)
        await tell(connection, "stdin", bytes=len(await connection.recv()))
        said.append(str(await connection.recv()))
        for _ in range(3):
            await tell(connection, "stdin", bytes=5)
        await end(connection)
        said.extend([str(message) async for message in connection])  # until the client goes

    async def work(client: AsyncMags) -> None:
        session = client.exec_session("web", terminal=Size(24, 80))
        await session.write(b"hello")
        await session.eof()
        await read(session)

    spoken(script, work)
    assert said == ['{"type": "eof"}']


def test_input_is_sent_once_and_in_order_while_the_network_is_slow() -> None:
    data = b"".join(number.to_bytes(4, "big") for number in range(INPUT_WINDOW_BYTES // 4))
    received = bytearray()

    async def script(connection: ServerConnection) -> None:
        await begun(connection)
        received.extend(await connection.recv(decode=False))
        for _ in range(20):  # each says that more may be sent
            await tell(connection, "stdin", bytes=0)
        async for message in connection:
            if isinstance(message, str):
                break
            received.extend(message)
        await end(connection)

    async def work(client: AsyncMags) -> None:
        session = client.exec_session("web", "cat", stdin=True, on_state=lambda _: heard.set())
        heard = asyncio.Event()
        reading = asyncio.create_task(read(session))
        await heard.wait()
        assert session._socket is not None
        own: socket.socket = session._socket.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await session.write(data)
        await session.eof()
        await reading

    spoken(script, work)
    assert received == data


async def read(session: AsyncExecSession) -> None:
    async with session:
        async for _ in session:
            pass


def test_who_reads_slowly_is_not_taken_for_dead() -> None:
    answered = asyncio.Event()

    async def script(connection: ServerConnection) -> None:
        await begun(connection)
        for number in range(PIECES):
            offset = number * PIECE_BYTES
            await connection.send(b"\x01" + offset.to_bytes(8, "big") + b"x" * PIECE_BYTES)
        with anyio.fail_after(5):
            await (await connection.ping())
        answered.set()
        await end(connection)
        async for _ in connection:
            pass  # until the client goes

    async def work(client: AsyncMags) -> None:
        read = b""
        async with client.exec_session("web", "yes") as session:
            async for piece in session:
                await answered.wait()  # longer than a ping may take
                read += piece.data
        assert read == b"x" * PIECES * PIECE_BYTES

    spoken(script, work)
