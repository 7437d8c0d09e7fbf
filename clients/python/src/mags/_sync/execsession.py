# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""One command in a sandbox, live: its output as it comes, and its input, signals and terminal."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from mags import execmessages, network, wire
from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from mags.config import Config
    from mags.execmessages import ExecOutput, Size
    from mags.exectypes import ExecEnd

FAILURES = (OSError, TimeoutError, WebSocketException, EOFError)


class ExecSession:
    """Iterate over it: each piece of output, until the command has ended; then `end` says how.

    Lost connections are made again and the output goes on where it was. The command is started once, however
    often that happens, and goes on if you leave. `on_state` hears `waking`, `starting`, `running`, `input`
    when the command has taken some, and `lost` where the connection has to be made again.
    """

    def __init__(
        self,
        config: Config,
        job: str,
        opening: dict[str, Any],
        *,
        exec_id: str | None,
        patience_s: tuple[float, float],
        on_state: Callable[[str], None] | None = None,
    ) -> None:
        """`patience_s`: for the first connection, and for later ones."""
        self.exec_id = exec_id or os.urandom(16).hex()
        self.end: ExecEnd | None = None
        self._config = config
        self._path = wire.job_path(job, "exec").removeprefix("/mags-jobs")
        self._opening = opening
        self._patience_s = patience_s
        self._on_state = on_state
        self._offsets = {"stdout": 0, "stderr": 0}
        self._acknowledged = -execmessages.ACK_BYTES  # so that the first piece is: then no limit holds us up
        self._socket: ClientConnection | None = None
        self._close_code: int | None = None
        self._error: dict[str, Any] | None = None
        self._has_run = False
        self._give_up_at: float | None = None
        self._attempt = 0  # of a connection
        self._input: deque[bytes] = deque()
        self._has_eof = self._is_eof_sent = False
        self._is_sending = False  # input
        self._sent = self._taken = 0  # of input, on this connection
        self._size: Size | None = None
        self._signals: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    @property
    def has_run(self) -> bool:
        """Whether the server has said that it was started."""
        return self._has_run

    @property
    def waiting_bytes(self) -> int:
        """Input that was not sent yet."""
        return sum(map(len, self._input))

    def write(self, data: bytes) -> None:
        """Input for the command. What it does not read yet is kept here and sent as the iteration goes on."""
        step = execmessages.INPUT_PIECE_BYTES
        self._input.extend(data[at : at + step] for at in range(0, len(data), step))
        self._send_input()

    def eof(self) -> None:
        """No more input."""
        self._has_eof = True
        self._send_input()

    def signal(self, name: str) -> None:
        """To the command's process group: INT, TERM ...; KILL ends all its processes."""
        self._signals.append(name)
        self._send_wishes()

    def resize(self, size: Size) -> None:
        self._size = size
        self._send_wishes()

    def __iter__(self) -> Iterator[ExecOutput]:
        while True:
            failed = self._connect()
            if failed is None:
                for piece in self._pieces():
                    yield piece
                    self._offsets[piece.stream] = piece.offset + len(piece.data)
                    self._acknowledge()
                if self.end is not None:
                    return
                failed = self._left()
            self._pause(failed)

    def _pieces(self) -> Iterator[ExecOutput]:
        """Until it has ended, or the connection has."""
        assert self._socket is not None  # noqa: S101 - `_connect` has made it; for the type checker
        while self.end is None:
            try:
                frame = self._socket.recv()
            except ConnectionClosed as closed:
                self._close_code = closed.rcvd.code if closed.rcvd else None
                return
            if isinstance(frame, bytes):
                yield execmessages.output_of(frame)
                continue
            told = json.loads(frame)
            if told["type"] == "gap":
                yield execmessages.gap_of(told)
            else:
                self._hear(told)

    def _hear(self, told: dict[str, Any]) -> None:
        if told["type"] == "state":
            self._tell(told["state"])
            if told["state"] == "running":
                self._has_run, self._give_up_at, self._attempt = True, None, 0
        elif told["type"] == "stdin":
            self._taken = told["bytes"]
            self._send_input()
            self._tell("input")
        elif told["type"] == "error":
            self._error = told
        elif told["type"] == "end":
            self.end = cast("ExecEnd", execmessages.end_result(self.exec_id, told))

    def _left(self) -> MagsError:
        """Why the connection has ended. Raises it where it is of no use to come back."""
        self._socket = None
        if execmessages.is_final(self._close_code):
            raise execmessages.refusal(cast("int", self._close_code), self._error, self._config.api_url)
        if self._sent > self._taken and not self._opening.get("terminal"):
            raise execmessages.input_lost()
        self._tell("lost")
        return execmessages.parting(self._error, self._config.api_url)

    def _pause(self, failed: MagsError) -> None:
        """Before the next connection. Raises what failed, once patience is over."""
        now = time.monotonic()
        if self._give_up_at is None:
            self._give_up_at = now + self._patience_s[1 if self._has_run else 0]
        delay_s = wire.retry_delay(failed, self._attempt, None)
        if delay_s is None or now + delay_s > self._give_up_at:
            raise failed
        self._attempt += 1
        time.sleep(delay_s)

    def _connect(self) -> MagsError | None:
        """What failed."""
        url = self._config.api_url
        try:
            self._socket = connect(
                "ws" + url.removeprefix("http") + "/ws/jobs" + self._path,
                ssl=network.tls_context() if url.startswith("https:") else None,
                proxy=network.proxy_address(url),
                max_size=None,
                # What waits is limited by what we acknowledge. With another limit the connection of a slow
                # reader hears no more pongs, and is taken for dead.
                max_queue=None,
                compression=None,
            )
        except FAILURES as error:
            return _failure(error, url)
        self._error = None
        self._sent = self._taken = 0
        # In a terminal it is a character, which may have been read.
        self._is_eof_sent = self._is_eof_sent and bool(self._opening.get("terminal"))
        self._send(execmessages.message("auth", token=self._config.api_token))
        opening = {"exec_id": self.exec_id, **self._opening, **self._told_offsets()}
        self._send(execmessages.message("open", **opening))
        self._send_wishes()
        self._send_input()
        return None

    def _told_offsets(self) -> dict[str, int]:
        return {f"{name}_offset": offset for name, offset in self._offsets.items()}

    def _send_input(self) -> None:
        """In order, and each piece once: who comes while somebody sends leaves the rest to that one."""
        if self._is_sending:
            return
        self._is_sending = True
        try:
            while self._send_next():
                pass
        finally:
            self._is_sending = False

    def _send_next(self) -> bool:
        """False where there is nothing to send, or nobody to send it to."""
        if not self._input:
            if self._has_eof and not self._is_eof_sent:
                self._is_eof_sent = self._send(execmessages.message("eof"))
                return self._is_eof_sent
            return False
        size = len(self._input[0])
        if self._sent - self._taken + size > execmessages.INPUT_WINDOW_BYTES:
            return False
        if not self._send(self._input[0]):
            return False
        self._input.popleft()
        self._sent += size
        return True

    def _send_wishes(self) -> None:
        if self._size is not None:
            self._send(execmessages.message("resize", rows=self._size.rows, columns=self._size.columns))
        while self._signals:
            name = self._signals.pop(0)  # before it is sent, so that nobody else sends it meanwhile
            if not self._send(execmessages.message("signal", signal=name)):
                self._signals.insert(0, name)
                return

    def _acknowledge(self) -> None:
        total = sum(self._offsets.values())
        if total - self._acknowledged >= execmessages.ACK_BYTES:
            self._acknowledged = total
            self._send(execmessages.message("ack", **self._told_offsets()))

    def _send(self, content: str | bytes) -> bool:
        """False where the connection is gone: the iteration sees that, after what came before."""
        if self._socket is None:
            return False
        try:
            self._socket.send(content)
        except ConnectionClosed:
            return False
        return True

    def _tell(self, state: str) -> None:
        if self._on_state is not None:
            self._on_state(state)


def _failure(error: Exception, url: str) -> MagsError:
    status = error.response.status_code if isinstance(error, InvalidStatus) else None
    is_passing = not isinstance(error, InvalidHandshake) or status in wire.RETRY_STATUSES
    detail = str(error).strip().removesuffix(".") or type(error).__name__
    return MagsError(
        f"Cannot reach {url}: {detail}.",
        status=status,
        code="unreachable",
        remediation="Check that the server runs and that MAGS_API_URL is its address.",
        retryable=is_passing,
    )
