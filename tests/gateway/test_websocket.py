"""WebSockets through the gateway: it passes bytes, so all that a protocol on them needs must come through."""

from __future__ import annotations

import asyncio
import os

import aiohttp
import pytest

from tests.gateway.backends import answering
from tests.gateway.doubles import ControlPlaneServer, PlainDataPort
from tests.gateway.visiting import Visited


def connect(site: Visited, path: str = "/ws", label: str = "app", **values: object):  # type: ignore[no-untyped-def]
    headers = {"Host": f"{label}.apps.localhost"}
    return site.client.ws_connect(site.url(path), headers=headers, max_msg_size=2**25, **values)


async def test_messages_subprotocol_ping_and_close_code(site: Visited) -> None:
    async with connect(site, protocols=("nobody", "chat"), autoping=False) as socket:
        assert socket.protocol == "chat"
        await socket.send_str("hello ä")
        assert await socket.receive_str() == "hello ä"
        await socket.ping(b"ping")
        pong = await socket.receive()
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"ping")
        await socket.send_str("close")
        closed = await socket.receive()
        assert (closed.data, closed.extra) == (4001, "as you wish")


async def test_large_messages(site: Visited) -> None:
    data = os.urandom(8 * 2**20)
    async with connect(site) as socket:
        for _ in range(2):
            await socket.send_bytes(data)
            assert await socket.receive_bytes() == data


async def test_many_at_once(site: Visited) -> None:
    async def talk(number: int) -> None:
        async with connect(site) as socket:
            for part in range(20):
                await socket.send_str(f"{number} {part}")
                assert await socket.receive_str() == f"{number} {part}"

    await asyncio.gather(*(talk(number) for number in range(50)))


async def test_refusal_is_passed_on(site: Visited) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await connect(site, "/empty/403")
    assert caught.value.status == 403


async def test_bytes_right_behind_both_heads_arrive(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    accepted = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly from inside"
    async with answering(accepted) as (port, heads):
        control.run("early", data_port.port, port)
        head = (
            b"GET / HTTP/1.1\r\nHost: early.apps.localhost\r\nUpgrade: websocket\r\n"
            b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n"
        )
        answer = await site.raw(head + b"early from outside")
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert answer.endswith(b"\r\n\r\nearly from inside")
    assert b"Sec-WebSocket-Key: x\r\n" in heads[0]


async def test_data_port_that_dies_ends_the_socket(site: Visited, data_port: PlainDataPort) -> None:
    async with connect(site) as socket, asyncio.timeout(10):
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        await data_port.stop()
        message = await socket.receive()
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    await data_port.start()
    async with connect(site) as socket:
        await socket.send_str("again")
        assert await socket.receive_str() == "again"


async def test_websocket_with_a_body_is_refused(site: Visited) -> None:
    answer = await site.raw(
        b"GET /ws HTTP/1.1\r\nHost: app.apps.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Content-Length: 5\r\n\r\nhello"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
