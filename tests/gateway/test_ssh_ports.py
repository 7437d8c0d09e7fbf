"""Which SSH ports a gateway listens on, and what it says of that."""

from __future__ import annotations

import asyncio
import socket

from tests.gateway.doubles import ControlPlaneServer
from tests.gateway.visiting import visited
from tests.servers import free_ports


async def said(plane: ControlPlaneServer, wanted: tuple[int, str]) -> None:
    async with asyncio.timeout(20):
        while await plane.listening.get() != wanted:
            pass


async def test_ports_in_use_are_told_and_opened_when_they_are_free() -> None:
    free, taken = free_ports(2)
    async with ControlPlaneServer() as plane:
        plane.list_ssh({free: "a", taken: "b"})
        with socket.create_server(("127.0.0.1", taken)) as other:
            async with visited(plane):
                await said(plane, (plane.revision, str(taken)))
                assert is_open(free)
                other.close()
                await said(plane, (plane.revision, ""))
                assert is_open(taken)
                plane.list_ssh({taken: "b"})
                await said(plane, (plane.revision, ""))
                assert not is_open(free)
    assert not is_open(taken)


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
