"""One caller's connection to one exec. It may end at any time; the exec goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket

import structlog

from execwire import frames
from execwire.frames import Ended, Failed, Kill, Open, Opened, Outcome, Resize, Room, Signal, Stdin, StdinEnd
from hostagent.drivers.base import Terminal
from hostagent.errors import AgentError
from hostagent.execs.errors import ExecError
from hostagent.execs.house import Execs
from hostagent.execs.intake import Intake, intake
from hostagent.execs.running import Exec
from hostagent.waiting import first

# What an init passes on to the process group. SIGKILL and what stops would only reach the init.
SIGNALS = frozenset({"HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "CONT", "WINCH"})

OPENING_S = 30.0  # from a connection to the frame that says what it is for

logger = structlog.get_logger(__name__)


async def serve(execs: Execs, sandbox_id: str, sock: socket.socket) -> None:
    """Until the exec has ended, or the caller is gone. Owns the socket."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    try:
        opening = await _opening(reader)
        if opening is not None:
            await _connect(execs, sandbox_id, opening, reader, writer)
    except (ExecError, ValueError) as error:
        code = error.code if isinstance(error, ExecError) else "bad_frame"
        writer.write(frames.encode(Failed(code, str(error))))
    except (AgentError, OSError) as error:
        logger.warning("exec_failed", sandbox=sandbox_id, error=str(error))
        writer.write(frames.encode(Failed("host_trouble", str(error))))
    finally:
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()


async def _opening(reader: asyncio.StreamReader) -> frames.FromCaller | None:
    try:
        async with asyncio.timeout(OPENING_S):
            return await frames.read(reader, frames.caller_frames)
    except TimeoutError:
        raise ExecError("bad_frame", f"no frame came within {OPENING_S:.0f} s") from None


async def _connect(
    execs: Execs,
    sandbox_id: str,
    opening: frames.FromCaller,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    if not isinstance(opening, Open):
        raise ExecError("bad_frame", "the first frame opens an exec")
    exec_, is_new = await execs.open(sandbox_id, opening)
    writer.write(frames.encode(Opened(is_new, exec_.end is not None)))
    has_input = exec_.end is None and exec_.bundle.has_input
    intake_ = await exec_.driver.slow(intake, exec_) if has_input else None
    with contextlib.closing(intake_) if intake_ else contextlib.nullcontext():
        await Session(exec_, reader, writer, intake_).run(opening)


class Session:
    def __init__(
        self,
        exec_: Exec,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        intake_: Intake | None,
    ) -> None:
        self._exec = exec_
        self._reader = reader
        self._writer = writer
        self._intake = intake_
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = frames.ROOM_BYTES

    async def run(self, opening: Open) -> None:
        work = (self._tell(opening.stdout, opening.stderr), self._listen())
        tasks = [asyncio.create_task(coroutine) for coroutine in work]
        feeding = asyncio.create_task(self._feed())
        try:
            await first(*tasks)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in (*tasks, feeding):
                task.cancel()
            await asyncio.gather(*tasks, feeding, return_exceptions=True)

    async def _tell(self, stdout: int, stderr: int) -> None:
        async with contextlib.aclosing(self._exec.frames(stdout, stderr)) as told:
            async for frame in told:
                await self._send(frame)
        end = self._exec.ended
        total = end.total
        await self._send(Ended(end.outcome, end.exit_code, total.stdout, total.stderr, end.at_ms))

    async def _send(self, frame: frames.Frame) -> None:
        self._writer.write(frames.encode(frame))
        await self._writer.drain()

    async def _listen(self) -> None:
        """Until the caller is gone: also the end of only one direction means so."""
        while (frame := await frames.read(self._reader, frames.caller_frames)) is not None:
            match frame:
                case Stdin():
                    self._take(frame.data)
                case StdinEnd():
                    self._input.put_nowait(None)
                case Resize():
                    size = Terminal(frame.size.rows, frame.size.columns)
                    await self._exec.driver.slow(self._exec.driver.resize, self._exec.key, size)
                case Signal():
                    await self._signal(frame.name)
                case Kill():
                    await self._exec.kill(Outcome.KILLED)
                case Open():
                    raise ExecError("bad_frame", "this connection has its exec")

    def _take(self, data: bytes) -> None:
        if self._intake is None:
            return  # as if it were closed inside
        self._room -= len(data)
        if self._room < 0:
            raise ExecError("no_room", "more input than there is room for")
        self._input.put_nowait(data)

    async def _feed(self) -> None:
        while self._intake is not None:
            data = await self._input.get()
            if data is None:
                await self._intake.end()
            else:
                await self._intake.write(data)
                self._room += len(data)
                self._writer.write(frames.encode(Room(len(data))))

    async def _signal(self, name: str) -> None:
        if name == "KILL":
            await self._exec.kill(Outcome.KILLED)
        elif name in SIGNALS:
            await self._exec.signal(signal.Signals[f"SIG{name}"])
        else:
            raise ExecError("bad_signal", f"signals are {' '.join(sorted(SIGNALS))} and KILL")
