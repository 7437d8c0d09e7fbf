"""WebSocket addresses."""

from __future__ import annotations

from typing import Any

from django.urls import path

from jobs.consumers import JobLogsConsumer, JobsConsumer

websocket_urlpatterns: list[Any] = [
    path("ws/jobs", JobsConsumer.as_asgi()),  # type: ignore[no-untyped-call]
    path("ws/jobs/<str:job>/logs", JobLogsConsumer.as_asgi()),  # type: ignore[no-untyped-call]
]
