"""SSH: a TCP port for each sandbox, as the control plane lists them. Bytes are passed, never read: keys and
passwords are between the visitor and the sandbox's own server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field

import structlog

from gateway.control import ControlPlane
from gateway.dial import dial
from gateway.errors import GatewayError, HostAway, RefusedByHost
from gateway.routes import Routes
from gateway.settings import Settings
from gateway.upstreams import ANSWER_S
from relay import Pair, attach, watch

BACKLOG = 64
PORT_CONNECTIONS_LIMIT = 64
POLL_S = 30
RETRY_S = 1.0

logger = structlog.get_logger("gateway.ssh")


@dataclass(slots=True, eq=False)
class _Door:
    """One port."""

    port: int
    label: str
    listener: socket.socket
    visits: set[asyncio.Task[None]] = field(default_factory=set)
    accepting: asyncio.Task[None] | None = None


class SshFront:
    def __init__(self, settings: Settings, control: ControlPlane, routes: Routes) -> None:
        self._settings = settings
        self._control = control
        self._routes = routes
        self._doors: dict[int, _Door] = {}

    async def follow_for_ever(self) -> None:
        """Keep exactly the listed ports open. While the control plane is away, those that are open."""
        revision, blocked = 0, set[int]()
        while True:
            try:
                # A port that is in use may be free soon: it is tried again with each answer.
                listed = await self._control.ssh_ports(revision, blocked, RETRY_S if blocked else POLL_S)
            except GatewayError as error:
                logger.warning("list_unknown", message=error.message)
                await asyncio.sleep(RETRY_S)
                continue
            blocked = self.update({int(port): label for port, label in listed.ports.items()})
            revision = listed.revision

    def update(self, ports: dict[int, str]) -> set[int]:
        """Open and close what differs. Answers what could not be opened."""
        for port, door in list(self._doors.items()):
            if ports.get(port) != door.label:
                self._close(self._doors.pop(port))
        missing = ports.keys() - self._doors.keys()
        return {port for port in sorted(missing) if not self._open(port, ports[port])}

    def _open(self, port: int, label: str) -> bool:
        try:
            family = socket.AF_INET6 if ":" in self._settings.ssh_address else socket.AF_INET
            listener = socket.create_server(
                (self._settings.ssh_address, port), family=family, backlog=BACKLOG
            )
        except (OSError, OverflowError) as error:
            logger.error("port_not_opened", port=port, label=label, error=str(error))
            return False
        listener.setblocking(False)
        door = self._doors[port] = _Door(port, label, listener)
        door.accepting = asyncio.create_task(self._accept_for_ever(door))
        return True

    def _close(self, door: _Door) -> None:
        """With its connections: whoever is on them was let in to what is no more."""
        self._lock(door)
        for task in door.visits:
            task.cancel()

    def _lock(self, door: _Door) -> None:
        if door.accepting is not None:
            door.accepting.cancel()
        door.listener.close()

    async def close(self) -> None:
        """No new connections; those that are open get their grace."""
        for door in self._doors.values():
            self._lock(door)
        visits = {task for door in self._doors.values() for task in door.visits}
        if visits:
            await asyncio.wait(visits, timeout=self._settings.grace_s)
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)

    async def _accept_for_ever(self, door: _Door) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(door.listener)
            except OSError as error:
                logger.warning("accept_failed", port=door.port, error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            if len(door.visits) >= PORT_CONNECTIONS_LIMIT:
                sock.close()
                continue
            task = asyncio.create_task(self._visit(door, sock))
            door.visits.add(task)
            task.add_done_callback(door.visits.discard)

    async def _visit(self, door: _Door, sock: socket.socket) -> None:
        peer = sock.getpeername()[0]
        pair, code = Pair(), ""
        with sock:
            watch(sock)
            try:
                inner, early = await self._inner(door.label)
            except GatewayError as error:
                code = error.code
                with contextlib.suppress(OSError):
                    # RFC 4253 4.2: lines before the version; `ssh -v` shows them.
                    await asyncio.get_running_loop().sock_sendall(sock, f"{error.message}\r\n".encode())
            else:
                await self._join(pair, sock, inner, early)
            finally:
                logger.info("connection", port=door.port, label=door.label, peer=peer, code=code)

    async def _inner(self, label: str) -> tuple[socket.socket, bytes]:
        """Wakes the sandbox, and looks again where it has moved."""
        for attempt in (1, 2):
            target = await self._routes.target(label, "ssh")
            try:
                return await dial(target, self._settings.connect_s, ANSWER_S)
            except (HostAway, RefusedByHost) as error:
                if attempt == 2:
                    raise
                await self._routes.look_again(label, error, "ssh")
        raise AssertionError  # the loop has returned or raised

    async def _join(self, pair: Pair, outer: socket.socket, inner: socket.socket, early: bytes) -> None:
        try:
            if early:
                await asyncio.get_running_loop().sock_sendall(outer, early)
            await attach(_moved(outer), pair.one)
            await attach(inner, pair.other)
            await pair.closed.wait()
        finally:
            pair.abort()


def _moved(sock: socket.socket) -> socket.socket:
    """The same connection in an object of its own, which its transport closes."""
    return socket.socket(sock.family, sock.type, sock.proto, sock.detach())
