"""What a caller writes, on its way into a pipe or a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Protocol

import structlog

from hostagent.errors import DriverError
from hostagent.execs.running import Exec

PACKET_BYTES = 4096  # what conmon takes at once is longer
END_OF_TRANSMISSION = b"\x04"

logger = structlog.get_logger(__name__)


class Intake(Protocol):
    async def write(self, data: bytes) -> None:
        """Returns when the command, or the kernel for it, has taken it. Nobody reads any more: dropped."""

    async def end(self) -> None: ...

    def close(self) -> None: ...


def intake(exec_: Exec) -> Intake | None:
    """None where it takes no input, or not any more. Blocks for a moment."""
    with contextlib.suppress(OSError):
        if exec_.bundle.has_terminal:
            return TerminalIntake(exec_)
        if exec_.bundle.has_stdin:
            fd = exec_.driver.open_stdin(exec_.key)
            return None if fd is None else PipeIntake(exec_, fd)
    return None


class PipeIntake:
    """An own writing end beside conmon's: a caller that goes, or this process's death, ends nothing."""

    def __init__(self, exec_: Exec, fd: int) -> None:
        self._exec = exec_
        self._fd = fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def write(self, data: bytes) -> None:
        while data and self._fd >= 0:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._wait()
            except BrokenPipeError:
                return

    async def _wait(self) -> None:
        loop, room = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(self._fd, room.set)
        try:
            await room.wait()
        finally:
            loop.remove_writer(self._fd)

    async def end(self) -> None:
        self.close()
        try:
            await self._exec.driver.slow(self._exec.driver.end_stdin, self._exec.key)
        except (OSError, DriverError) as error:  # it has ended, nearly always
            logger.info("input_not_ended", exec=self._exec.key, error=str(error))


class TerminalIntake:
    def __init__(self, exec_: Exec) -> None:
        self._stack = contextlib.ExitStack()
        self._socket: socket.socket = self._stack.enter_context(exec_.bundle.attached())
        self._socket.shutdown(socket.SHUT_RD)  # output comes by the spool: conmon would wait for its reader
        self._socket.setblocking(False)

    def close(self) -> None:
        self._stack.close()

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(data), PACKET_BYTES):
                await loop.sock_sendall(self._socket, data[start : start + PACKET_BYTES])

    async def end(self) -> None:
        await self.write(END_OF_TRANSMISSION)
