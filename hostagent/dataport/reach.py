"""A connection to a server in a sandbox, whichever of its own addresses that listens on."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hostagent.dataport import inside
from hostagent.dataport.errors import Refused
from hostagent.dataport.tenancy import Tenancy

THREADS = 4
LOOPBACK = ("127.0.0.1", "::1")
# What says that nobody listens on one address; another one may do.
NOBODY = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
    }
)

_T = TypeVar("_T")


class Reach:
    def __init__(self, tenancy: Tenancy, connect_s: float) -> None:
        self.tenancy = tenancy
        self._connect_s = connect_s
        # Its threads change namespaces: nothing else may run in them.
        self._threads = ThreadPoolExecutor(THREADS, "inside")

    def close(self) -> None:
        self._threads.shutdown()

    async def slow(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def inside(self, sandbox_id: str, work: Callable[[], _T]) -> _T:
        """Do `work`, which makes sockets, in the sandbox's network."""

        def call() -> _T:
            with self.tenancy.init(sandbox_id) as init:
                return inside.make(init, sandbox_id, work)

        return await self.slow(call)

    async def port(self, sandbox_id: str, port: int) -> socket.socket:
        """A socket connected to the first of the sandbox's addresses where somebody listens."""
        own = await self.slow(lambda: self.tenancy.addresses(sandbox_id))
        try:
            async with asyncio.timeout(self._connect_s):
                for address in (*LOOPBACK, *own):
                    try:
                        return await self._connect(sandbox_id, address, port)
                    except OSError as error:
                        if error.errno not in NOBODY:
                            raise
        except TimeoutError as error:
            message = f"the server on port {port} in this sandbox does not accept connections"
            raise Refused(504, "not_accepting", message) from error
        raise Refused(502, "nothing_listens", f"nothing listens on port {port} in this sandbox")

    async def _connect(self, sandbox_id: str, address: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = await self.inside(sandbox_id, lambda: inside.tcp_socket(family))
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
            if sock.getsockname() == sock.getpeername():
                # An ephemeral port was the one asked for: TCP has connected the socket to itself.
                raise OSError(errno.ECONNREFUSED, "connected to itself")
        except BaseException:
            sock.close()
            raise
        return sock
