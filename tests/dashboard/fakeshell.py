"""The server's side of the terminal's socket (docs/reference/websocket.md), for pages without a sandbox."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, WebSocketRoute


class FakeShell:
    """Keeps what it printed, and replays it from the offset that the page asks for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.printed = b""
        self.typed = b""
        self.opened: list[dict[str, Any]] = []
        self.sizes: list[tuple[int, int]] = []
        self.acknowledged = 0
        self._socket: WebSocketRoute | None = None
        page.route_web_socket("**/ws/jobs/*/exec", self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.on_message(self._received)

    def _received(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.typed += message
            return
        told = json.loads(message)
        if told["type"] == "open":
            self.opened.append(told)
            assert told["command"] is None  # a login shell
            for state in ("starting", "running"):
                self.tell(type="state", state=state, exec_id=told["exec_id"], is_joined=False)
            self._send_from(told["stdout_offset"])
        elif told["type"] == "resize":
            self.sizes.append((told["columns"], told["rows"]))
        elif told["type"] == "ack":
            self.acknowledged = told["stdout_offset"]

    def tell(self, **message: Any) -> None:
        assert self._socket is not None
        self._socket.send(json.dumps(message))

    def prints(self, data: bytes) -> None:
        begin = len(self.printed)
        self.printed += data
        self._send_from(begin)

    def _send_from(self, offset: int) -> None:
        assert self._socket is not None
        if data := self.printed[offset:]:
            self._socket.send(b"\x01" + offset.to_bytes(8) + data)

    def ends(self, exit_code: int | None, reason: str) -> None:
        sizes = {"stdout_bytes": len(self.printed), "stderr_bytes": 0}
        self.tell(type="end", exit_code=exit_code, reason=reason, **sizes)
        self.drops(1000)

    def drops(self, code: int = 1012) -> None:
        assert self._socket is not None
        self._socket.close(code=code)
