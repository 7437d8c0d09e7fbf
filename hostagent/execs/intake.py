"""What a caller writes, on its way into a pipe or a terminal."""

from __future__ import annotations

import asyncio
import errno
import os

import structlog

from hostagent.errors import DriverError
from hostagent.execs.running import Exec

GONE = {errno.EPIPE, errno.EIO}  # of a pipe, and of a terminal, that nobody has open inside
END_OF_TRANSMISSION = b"\x04"

logger = structlog.get_logger(__name__)


def intake(exec_: Exec) -> Intake | None:
    """None where it takes no input, or not any more. Blocks for a moment."""
    is_terminal = exec_.bundle.has_terminal
    open_ = exec_.driver.open_terminal if is_terminal else exec_.driver.open_stdin
    fd = open_(exec_.key)
    if fd is None:
        return None
    os.set_blocking(fd, False)  # conmon does so too, for it is the same open file, but perhaps later
    return TerminalIntake(exec_, fd) if is_terminal else Intake(exec_, fd)


class Intake:
    """An own writing end beside conmon's: a caller that goes, or this process's death, ends nothing."""

    def __init__(self, exec_: Exec, fd: int) -> None:
        self._exec = exec_
        self._fd = fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken it for the command. Nobody reads any more: dropped."""
        while data and self._fd >= 0:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._wait()
            except OSError as error:
                if error.errno not in GONE:
                    raise
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


class TerminalIntake(Intake):
    """Its end is a character, after which there may be more."""

    async def end(self) -> None:
        await self.write(END_OF_TRANSMISSION)
