"""Counts what this process answers, for /metrics. Other web processes count for themselves."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# By the beginning of the path: never by what somebody can choose.
CLASSES = (
    ("/api/host/", "host_api"),
    ("/api/gateway/", "gateway_api"),
    ("/api/", "api"),
    ("/static/", "static"),
    ("/admin/", "admin"),
    ("/docs/", "docs"),
)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)

registry = CollectorRegistry()
_requests = Counter(
    "mags_process_requests", "Requests answered by this process.", ["kind", "status"], registry=registry
)
_seconds = Histogram(
    "mags_process_request_seconds", "Until the head of the answer; long polls and waits are in it.", ["kind"],
    buckets=SECONDS, registry=registry,
)  # fmt: skip
_sockets = Gauge("mags_process_websockets", "Open WebSockets of this process.", registry=registry)


class Counted:
    """The application, counted."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            with _sockets.track_inprogress():
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._app(scope, receive, _Noting(scope["path"], send))
        else:
            await self._app(scope, receive, send)


class _Noting:
    """Sends on, and notes the head of the answer."""

    def __init__(self, path: str, send: Any) -> None:
        self._kind = next((kind for prefix, kind in CLASSES if path.startswith(prefix)), "page")
        self._send = send
        self._began = time.perf_counter()

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            _requests.labels(self._kind, f"{message['status'] // 100}xx").inc()
            _seconds.labels(self._kind).observe(time.perf_counter() - self._began)
        await self._send(message)
