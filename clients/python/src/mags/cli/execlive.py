"""A command in a sandbox as if it were here: its output, its input, its signals and its terminal."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
import termios
import threading
import tty
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from mags import AsyncMags
from mags.cli import terminal
from mags.cli.app import EXIT_FAILED, EXIT_INTERRUPTED
from mags.cli.connect import RETRY_FOR_S
from mags.cli.watch import EXIT_OUTPUT_CLOSED
from mags.execmessages import INPUT_WINDOW_BYTES, Size

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from mags._async.execsession import AsyncExecSession
    from mags.execmessages import ExecOutput
    from mags.exectypes import ExecEnd

READ_BYTES = 32 * 1024
INTERRUPTS_TO_LEAVE = 3
CTRL_C = b"\x03"

# Said where the exit code says less.
REASONS = {
    "timed_out": "the command did not end within its timeout",
    "oom": "the sandbox ran out of memory; give it more with --memory",
    "lost": "the sandbox ended before the command did; how far it came is not known",
    "not_started": "the command was not started",
}


class Left(Exception):
    """The command goes on without us."""


def run(job: str, command: str | None, *, as_json: bool, terminal_size: Size | None, **options: Any) -> int:
    """Until the command has ended. Returns the exit code of `mags`."""
    live = _Live(terminal_size, collects=as_json)
    return asyncio.run(live.run(job, command, **options))


class _Live:
    def __init__(self, size: Size | None, *, collects: bool) -> None:
        self._size = size
        self._collected: dict[str, list[bytes]] | None = {"stdout": [], "stderr": []} if collects else None
        self._interrupts = 0
        self._leaving: asyncio.Future[None]
        self._taken = asyncio.Event()
        self._session: AsyncExecSession
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, job: str, command: str | None, **options: Any) -> int:
        loop = asyncio.get_running_loop()
        self._leaving = loop.create_future()
        has_input = options.pop("stdin")
        async with AsyncMags(retry_for=RETRY_FOR_S) as client:
            self._session = client.exec_session(
                job, command, stdin=has_input, terminal=self._size, on_state=self._say, **options
            )
            with self._signals(loop), _raw() if self._size else contextlib.nullcontext():
                if has_input:
                    _Reader(loop, self._session, self._taken, self._typed).start()
                return await self._until_left()

    async def _until_left(self) -> int:
        following = asyncio.create_task(self._follow())
        try:
            await asyncio.wait((following, self._leaving), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            terminal.note(_parting(self._session))
            return EXIT_INTERRUPTED
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self._session.aclose()

    async def _follow(self) -> int:
        try:
            async for piece in self._session:
                await self._put(piece)
        except BrokenPipeError:
            terminal.silence_stdout()
            await self._session.signal("HUP")  # as a command here would hear that nobody reads it
            return EXIT_OUTPUT_CLOSED
        end = self._session.end
        assert end is not None  # noqa: S101 - the iteration has ended without an error
        return self._finish(end)

    async def _put(self, piece: ExecOutput) -> None:
        if self._collected is not None:
            self._collected[piece.stream].append(piece.data)
            return
        if piece.missing_bytes:
            terminal.note(f"{piece.missing_bytes} bytes of {piece.stream} are not kept any more")
        # On a thread: whoever reads our output slowly must not keep us from passing on Ctrl-C.
        await asyncio.to_thread(_write, piece)

    def _finish(self, end: ExecEnd) -> int:
        if self._collected is not None:
            parts = {name: b"".join(found) for name, found in self._collected.items()}
            click.echo(json.dumps({**end, **_texts(parts)}))
        elif end["reason"] in REASONS:
            terminal.note(end["message"] or REASONS[end["reason"]])
        return EXIT_FAILED if end["exit_code"] is None else end["exit_code"]

    def _say(self, state: str) -> None:
        if state == "input":
            self._taken.set()
        elif state == "waking":
            self._note("waking the sandbox")
        elif state == "lost":
            self._note("the connection was lost; making it again")

    def _note(self, text: str) -> None:
        terminal.note(text)
        if self._size:  # raw: a new line begins where the last one ended
            click.echo("\r", nl=False, err=True)

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: lambda: self._pass_on("TERM")}
        if self._size:
            handlers[signal.SIGWINCH] = self._resized
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts >= INTERRUPTS_TO_LEAVE or not self._session.is_connected:
            self._leave()
        else:
            self._pass_on("INT")

    def _typed(self, data: bytes) -> None:
        """In a terminal Ctrl-C is input, which nobody gets while the connection is lost."""
        if self._size and CTRL_C in data and not self._session.is_connected:
            self._leave()

    def _leave(self) -> None:
        if not self._leaving.done():
            self._leaving.set_result(None)

    def _pass_on(self, name: str) -> None:
        self._spawn(self._session.signal(name))

    def _resized(self) -> None:
        found = get_terminal_size()
        self._spawn(self._session.resize(Size(max(1, found.lines), max(1, found.columns))))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Reader:
    """Our input, read on a thread of its own: a file cannot be waited for otherwise, and a thread that waits
    for a key must not keep us from leaving."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        session: AsyncExecSession,
        taken: asyncio.Event,
        typed: Callable[[bytes], None],
    ) -> None:
        """`taken` is set when the command has taken input."""
        self._loop = loop
        self._taken = taken
        self._session = session
        self._typed = typed

    def start(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the terminal, or our loop, is gone
            while data := os.read(sys.stdin.fileno(), READ_BYTES):
                asyncio.run_coroutine_threadsafe(self._pass_on(data), self._loop).result()
            asyncio.run_coroutine_threadsafe(self._session.eof(), self._loop).result()

    async def _pass_on(self, data: bytes) -> None:
        self._typed(data)
        await self._session.write(data)
        while self._session.waiting_bytes > INPUT_WINDOW_BYTES:
            self._taken.clear()
            await self._taken.wait()


def _parting(session: AsyncExecSession) -> str:
    if session.has_run:
        return f"left it running as {session.exec_id}"
    return f"left; if it was started at all, it is {session.exec_id}"


def _write(piece: ExecOutput) -> None:
    stream = sys.stderr.buffer if piece.stream == "stderr" else sys.stdout.buffer
    stream.write(piece.data)
    stream.flush()


def _texts(parts: dict[str, bytes]) -> dict[str, str]:
    """As the API has them: text, and the exact bytes where that is not exact."""
    found: dict[str, str] = {}
    for name, data in parts.items():
        found[name] = data.decode("utf-8", "replace")
        if found[name].encode() != data:
            found[f"{name}_base64"] = base64.b64encode(data).decode("ascii")
    return found


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Every key goes to the command, and nothing is echoed here."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
