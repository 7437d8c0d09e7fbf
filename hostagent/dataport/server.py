"""The data port: takes connections from the gateway, checks their tickets, and joins them to sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import structlog

from hostagent import control
from hostagent.config import Config
from hostagent.dataport import tickets
from hostagent.dataport.connections import Connection, Connections
from hostagent.dataport.errors import Refused, bad_request
from hostagent.dataport.reach import Reach
from hostagent.dataport.request import END, HEAD_LIMIT_BYTES, encode_refusal, parse
from hostagent.dataport.settings import Settings
from hostagent.dataport.ssh import SshServers
from hostagent.dataport.tenancy import Tenancy
from hostagent.dataport.tickets import EXEC, SSH, Ticket, TicketKeys
from hostagent.dataport.waking import Waker
from hostagent.execs import session
from hostagent.execs.house import Execs, Limits
from hostagent.execs.orders import Orders
from relay import attach, watch

BACKLOG = 1024
ACCEPTED = b"HTTP/1.1 200 Connected\r\n\r\n"
# Connections whose ticket was not seen yet: they cost no more than this many heads.
UNCHECKED_LIMIT = 1024

logger = structlog.get_logger(__name__)


class DataPort:
    def __init__(self, config: Config, settings: Settings, host_id: str) -> None:
        self._state_dir = config.state_dir.resolve()
        self._settings = settings
        self._host_id = host_id
        self._keys = TicketKeys(self._state_dir)
        self._reach = Reach(Tenancy(config), settings.connect_s)
        self._ssh = SshServers(config, self._reach)
        limits = Limits(settings.exec_output_mb << 20, settings.exec_keep_s, settings.sandbox_execs_limit)
        self._execs = Execs(config, limits)
        self._waker = Waker(self._state_dir, self._reach, settings.wake_s)
        self._orders = Orders(self._execs, self._waker.is_frozen)
        self.connections = Connections(settings, self._stirred)
        self._tasks: set[asyncio.Task[None]] = set()
        self._unchecked = asyncio.Semaphore(UNCHECKED_LIMIT)
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen while the block runs. At its end all connections are cut."""
        listener = _listener(self._settings)
        self.port = listener.getsockname()[1]
        await self._execs.recover()
        accepting = asyncio.create_task(self._accept_for_ever(listener))
        try:
            async with self._controlled():
                yield
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            listener.close()
            self.connections.abort_all()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._execs.close()
            self._ssh.close()
            self._reach.close()

    @contextlib.asynccontextmanager
    async def _controlled(self) -> AsyncIterator[None]:
        directory = self._state_dir / control.DATA_PORT
        directory.mkdir(mode=0o700, exist_ok=True)
        async with control.serve(directory, self.command):
            yield

    async def command(self, line: str) -> dict[str, Any]:
        """What the control socket answers."""
        match line.split(maxsplit=3):
            case ["connections"]:
                return {"sandboxes": self.connections.evidence(), "execs": self._execs.active()}
            case ["exec", "start", sandbox_id, order]:
                return await self._orders.start(sandbox_id, order)
            case ["exec", "end", sandbox_id, exec_id]:
                return await self._orders.end(sandbox_id, exec_id)
            case ["close", sandbox_id]:
                return {"closed": self.connections.abort(sandbox_id)}
            case ["close", sandbox_id, "tcp" | "ssh" | "exec" as kind]:
                return {"closed": self.connections.abort(sandbox_id, kind)}
        return {"error": "unknown command"}

    async def _accept_for_ever(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._unchecked.acquire()
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:  # no descriptors left, most likely: those in use go on
                logger.warning("accept_failed", error=str(error))
                self._unchecked.release()
                await asyncio.sleep(1)
                continue
            self._spawn(self._serve(sock))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            try:
                ticket, early = await self._admit(sock)
                await self._join(sock, ticket, early)
            except Refused as refused:
                logger.info("refused", code=refused.code, message=refused.message)
                await _send_last(sock, encode_refusal(refused))

    async def _admit(self, sock: socket.socket) -> tuple[Ticket, bytes]:
        """The checked ticket, and what came after the head."""
        try:
            watch(sock)
            async with asyncio.timeout(self._settings.head_s):
                head, early = await _read_head(sock)
        except TimeoutError as error:
            raise Refused(408, "too_slow", "no request came") from error
        finally:
            self._unchecked.release()
        connect = parse(head)
        ticket = tickets.check(connect.token, self._keys, self._host_id)
        tickets.check_target(ticket, connect.sandbox_id, connect.port)
        return ticket, early

    async def _join(self, sock: socket.socket, ticket: Ticket, early: bytes) -> None:
        sandbox_id = ticket.sandbox_id
        await self._reach.slow(lambda: self._reach.tenancy.check(sandbox_id, ticket.epoch))
        connection = self.connections.open(sandbox_id, ticket.kind)
        try:
            inner = await self._open(ticket)
            with inner:
                await asyncio.get_running_loop().sock_sendall(sock, ACCEPTED)
                if early:
                    await asyncio.get_running_loop().sock_sendall(inner, early)
                await self._relay(connection, sock, inner)
        finally:
            self.connections.close(connection)

    async def _open(self, ticket: Ticket) -> socket.socket:
        await self._waker.ensure(ticket.sandbox_id, ticket.kind)
        if ticket.port == SSH:
            return await self._ssh.open(ticket.sandbox_id)
        if ticket.port == EXEC:
            return self._exec(ticket.sandbox_id)
        return await self._reach.port(ticket.sandbox_id, int(ticket.port))

    def _exec(self, sandbox_id: str) -> socket.socket:
        """A socket with a session at its other end: counted, slowed down and cut as all others are."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for sock in (ours, theirs):
            sock.setblocking(False)
        self._spawn(session.serve(self._execs, sandbox_id, theirs))
        return ours

    async def _relay(self, connection: Connection, outer: socket.socket, inner: socket.socket) -> None:
        pair = connection.pair
        try:
            # The transports own what they are given: the sockets of `with` are only closed by them.
            await attach(_moved(outer), pair.one)
            await attach(_moved(inner), pair.other)
            await pair.closed.wait()
        finally:
            pair.abort()

    def _stirred(self, sandbox_id: str) -> None:
        self._spawn(self._wake(sandbox_id))

    async def _wake(self, sandbox_id: str) -> None:
        """For bytes on a connection that is older than the sandbox's sleep."""
        try:
            await self._waker.ensure(sandbox_id)
        except Refused as refused:
            logger.warning("not_woken", sandbox=sandbox_id, code=refused.code)


def _moved(sock: socket.socket) -> socket.socket:
    """The same connection in an object of its own; the old one is closed already when `with` ends."""
    return socket.socket(sock.family, sock.type, sock.proto, sock.detach())


async def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    loop = asyncio.get_running_loop()
    data = b""
    while END not in data:
        part = await loop.sock_recv(sock, HEAD_LIMIT_BYTES)
        data += part
        if not part:
            raise ConnectionResetError
        if len(data) > HEAD_LIMIT_BYTES and END not in data[:HEAD_LIMIT_BYTES]:
            raise bad_request("the request is too long")
    head, _, early = data.partition(END)
    return head, early


async def _send_last(sock: socket.socket, answer: bytes) -> None:
    """Send an answer so that it arrives: what the peer still sends would make the close a reset."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, answer)
    sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while await loop.sock_recv(sock, HEAD_LIMIT_BYTES):
                pass


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    listener = socket.create_server((settings.address, settings.port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener
