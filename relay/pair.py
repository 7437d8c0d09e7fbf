"""Bytes both ways, with the backpressure, the half-closes and the resets of either side passed on."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import cast

from relay.sockets import reset, watch

# Of one direction, in one process, over what the kernel holds. A reader that stops takes no more than this.
BUFFER_BYTES = 256 * 1024


def _ignore(_count: int) -> None:
    """Nobody counts."""


class Pair:
    """Two ends that are attached to one transport each, in any order and at any time."""

    def __init__(self, count: Callable[[int], None] = _ignore) -> None:
        """`count` is told of every number of bytes that passes."""
        self.count = count
        self.is_cut = False
        self.closed = asyncio.Event()  # both connections are gone
        self.one, self.other = End(self), End(self)
        self.one.peer, self.other.peer = self.other, self.one

    def abort(self) -> None:
        """Cut both connections, also one that is yet to be attached."""
        self.is_cut = True
        for end in (self.one, self.other):
            end.cut()

    def lost(self) -> None:
        if self.one.is_lost and self.other.is_lost:
            self.closed.set()


class End(asyncio.Protocol):
    """One connection of a pair."""

    peer: End

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._transport: asyncio.Transport | None = None
        self._former: asyncio.Protocol | None = None
        self._waiting: list[bytes] = []  # came before the peer was attached
        self._has_ended = False  # its FIN came
        self._error: Exception | None = None
        self.is_lost = False

    def take_over(self, transport: asyncio.Transport, former: asyncio.Protocol, early: bytes) -> None:
        """Become the protocol of a transport that another one has used so far, and tell that one of its end.
        `early`: what it had read and not understood."""
        self._former = former
        transport.set_protocol(self)
        self.connection_made(transport)
        if early:
            self.data_received(early)
        if not transport.is_reading() and self.peer._transport is not None:
            transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BUFFER_BYTES)
        if self._pair.is_cut:
            self.cut()
            return
        if self.peer.is_lost:
            self._end_after(self.peer._error)
            return
        self.peer._flush()

    def _flush(self) -> None:
        """The peer is there now."""
        waiting, self._waiting = self._waiting, []
        if self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()
        for data in waiting:
            self.data_received(data)
        if self._has_ended:
            self._pass_end()

    def data_received(self, data: bytes) -> None:
        to = self.peer._transport
        if to is None:
            self._waiting.append(data)
            if self._transport is not None:
                self._transport.pause_reading()
        elif not self.peer.is_lost:
            self._pair.count(len(data))
            to.write(data)

    def eof_received(self) -> bool:
        self._has_ended = True
        if self.peer._transport is not None:
            self._pass_end()
        return True  # the other direction goes on

    def _pass_end(self) -> None:
        mine, to = self._transport, self.peer._transport
        if to is not None and not self.peer.is_lost and not to.is_closing():
            to.write_eof()
        if self.peer._has_ended:
            for transport in (mine, to):
                if transport is not None:
                    transport.close()  # what is written is sent first

    def pause_writing(self) -> None:
        source = self.peer._transport
        if source is not None and not source.is_closing():
            source.pause_reading()

    def resume_writing(self) -> None:
        source = self.peer._transport
        if source is not None and not source.is_closing():
            source.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = exc
        self.is_lost = True
        if self._former is not None:
            self._former.connection_lost(exc)
        self.peer._end_after(exc)
        self._pair.lost()

    def _end_after(self, error: Exception | None) -> None:
        """The peer is gone."""
        if self._transport is None or self.is_lost:
            return
        if error is None:
            self._transport.close()
        else:
            reset(self._transport)

    def check(self) -> None:
        """Raises where the pair was cut before this end had a connection."""
        if self._pair.is_cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the pair was cut")

    def cut(self) -> None:
        if self._transport is not None and not self.is_lost:
            reset(self._transport)


async def attach(sock: socket.socket, end: End) -> None:
    """Let `end` own a connected socket, also where it cannot be made a transport any more."""
    loop = asyncio.get_running_loop()
    try:
        end.check()
        watch(sock)
        if sock.family == socket.AF_UNIX:
            await loop.create_unix_connection(lambda: end, sock=sock)
        else:
            await loop.create_connection(lambda: end, sock=sock)
    except OSError as error:
        sock.close()
        end.connection_lost(error)
