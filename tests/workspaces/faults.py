"""A way to the object store on which things go wrong."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


class FaultyWay(ThreadingHTTPServer):
    """Passes requests on to a store, but for what `fault` does to them.

    `fault(handler)` returns None (pass on), "500", "cut" (the answer breaks off), "lost" (the store does
    it, the answer never comes), or a number of seconds to wait before passing on.
    """

    daemon_threads = True

    def __init__(self, store: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = urlsplit(store).netloc
        self.fault: Callable[[BaseHTTPRequestHandler], Any] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that gave up are part of it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyWay

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self)
        if fault == "500":
            self._answer(500, b"<Error><Code>InternalError</Code></Error>", {})
            return
        if isinstance(fault, int | float):
            time.sleep(fault)
        store = http.client.HTTPConnection(self.server.store, timeout=20)
        # The host name is part of what is signed: it stays as it was sent.
        store.request(self.command, self.path, body or None, dict(self.headers))
        response = store.getresponse()
        content = response.read()
        store.close()
        self.close_connection = True
        if fault == "lost":
            return
        headers = {name: text for name, text in response.getheaders() if name.lower() not in HOP}
        if self.command == "HEAD":
            self._answer(response.status, b"", headers, length=response.headers.get("Content-Length"))
        else:
            sent = content[: len(content) // 2] if fault == "cut" else content
            self._answer(response.status, sent, headers, length=str(len(content)))

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def _answer(self, status: int, body: bytes, headers: dict[str, str], length: str | None = None) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", length if length is not None else str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@contextmanager
def faulty_way(store: str) -> Iterator[FaultyWay]:
    with FaultyWay(store) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def sometimes(fault: Any, every: int) -> Callable[[BaseHTTPRequestHandler], Any]:
    """The fault at each first of so many requests."""
    count = iter(range(10**9))
    lock = threading.Lock()

    def decide(_: BaseHTTPRequestHandler) -> Any:
        with lock:
            return fault if next(count) % every == 0 else None

    return decide
