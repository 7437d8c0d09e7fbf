"""A connection into a sandbox, by way of its host's data port (docs/reference/data-port.md)."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass

import msgspec

from gateway.errors import GatewayError, HostAway, NothingListens, RefusedByHost
from relay import watch

HEAD_LIMIT_BYTES = 16 * 1024
END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3})( |$)")


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a sandbox, where its host is, and the right to go there."""

    address: str
    data_port: int
    sandbox_id: str
    port: int
    ticket: str

    @property
    def place(self) -> tuple[str, int, str, int]:
        """Without the ticket: connections to the same place are alike."""
        return (self.address, self.data_port, self.sandbox_id, self.port)


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""
    code: str = ""


async def dial(target: Target, connect_s: float, answer_s: float) -> tuple[socket.socket, bytes]:
    """A socket whose other end is the port, and what came from there already (SSH servers speak first).

    `answer_s` includes the thawing of a frozen sandbox. Raises GatewayError: nothing was sent to the sandbox.
    """
    sock = await _connect(target, connect_s)
    try:
        async with asyncio.timeout(answer_s):
            return sock, await _handshake(sock, target)
    except (OSError, TimeoutError) as error:
        sock.close()
        raise HostAway(f"the host of sandbox {target.sandbox_id} does not answer") from error
    except BaseException:
        sock.close()
        raise


async def _connect(target: Target, connect_s: float) -> socket.socket:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(connect_s):
            await loop.sock_connect(sock, (target.address, target.data_port))
        watch(sock)
    except (OSError, TimeoutError) as error:
        sock.close()
        raise HostAway(f"the host of sandbox {target.sandbox_id} cannot be reached") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _handshake(sock: socket.socket, target: Target) -> bytes:
    loop = asyncio.get_running_loop()
    request = (
        f"CONNECT {target.sandbox_id}:{target.port} HTTP/1.1\r\n"
        f"Proxy-Authorization: Bearer {target.ticket}\r\n\r\n"
    )
    await loop.sock_sendall(sock, request.encode("ascii"))
    data = b""
    while END not in data:
        part = await loop.sock_recv(sock, HEAD_LIMIT_BYTES)
        data += part
        if not part or len(data) > HEAD_LIMIT_BYTES:
            raise ConnectionResetError
    head, _, rest = data.partition(END)
    status = _STATUS.match(head)
    if status is None:
        raise ConnectionResetError
    if status[1] != b"200":
        raise _refusal(int(status[1]), await _body(sock, rest), target)
    return rest


async def _body(sock: socket.socket, data: bytes) -> bytes:
    """To the end: a refusal is the last that comes."""
    loop = asyncio.get_running_loop()
    while len(data) < HEAD_LIMIT_BYTES and (part := await loop.sock_recv(sock, HEAD_LIMIT_BYTES)):
        data += part
    return data


def _refusal(status: int, body: bytes, target: Target) -> GatewayError:
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except msgspec.DecodeError:
        refusal = _Refusal("the host refused the connection", "refused")
    if refusal.code == "nothing_listens":
        return NothingListens(f"nothing listens on port {target.port} in this sandbox")
    status = status if status in (503, 504) else 502
    return RefusedByHost(status, refusal.code, refusal.error, target.sandbox_id)
