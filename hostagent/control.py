"""A Unix socket through which `hostagent drain`, `undrain` and `status` talk to the running agent.

One JSON object a line in each direction. The directory is root's own (0700), so whoever reaches it may.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from hostagent.errors import AgentError

SOCKET = "agent.sock"
DATA_PORT = "data-port"  # the data port's own directory, below the state directory
ANSWER_S = 5.0
LINE_LIMIT_BYTES = 16 * 1024 * 1024

Handler = Callable[[str], Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def serve(state_dir: Path, handler: Handler) -> AsyncIterator[None]:
    """Answer commands while the block runs. Who has no answer by its end finds the connection closed."""
    open_ones: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError), contextlib.closing(writer):
            async with asyncio.timeout(ANSWER_S):
                line = await reader.readline()
            writer.write(msgspec.json.encode(await handler(line.decode().strip())) + b"\n")
            await writer.drain()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(answer(reader, writer))
        open_ones[task] = writer
        task.add_done_callback(open_ones.pop)

    (state_dir / SOCKET).unlink(missing_ok=True)
    with _address(state_dir) as address:
        server = await asyncio.start_unix_server(accept, address, limit=LINE_LIMIT_BYTES)
    try:
        yield
    finally:
        server.close()
        (state_dir / SOCKET).unlink(missing_ok=True)
        waiting = dict(open_ones)
        for task, writer in waiting.items():
            task.cancel()
            writer.close()  # also where its task had not begun
        await asyncio.gather(*waiting, return_exceptions=True)


async def ask(state_dir: Path, command: str, timeout_s: float = ANSWER_S) -> dict[str, Any]:
    """The running agent's answer. Raises AgentError where none runs."""
    try:
        with _address(state_dir) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=LINE_LIMIT_BYTES)
        with contextlib.closing(writer):
            writer.write(command.encode() + b"\n")
            # Not `wait_for`: in Python 3.11 that drops a cancellation that comes together with the answer.
            async with asyncio.timeout(timeout_s):
                line = await reader.readline()
        answer: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
    except (OSError, TimeoutError, msgspec.DecodeError) as error:
        raise AgentError(f"no agent answers in {state_dir}", "start one with `hostagent run`") from error
    return answer


@contextlib.contextmanager
def _address(state_dir: Path) -> Iterator[str]:
    """A name of the socket that fits the 108 bytes of a socket address however deep `state_dir` is."""
    fd = os.open(state_dir, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET}"
    finally:
        os.close(fd)
