"""WebSocket addresses."""

from __future__ import annotations

from typing import Any

from django.urls import path

from execs.consumers import ExecConsumer

websocket_urlpatterns: list[Any] = [
    path("ws/jobs/<str:job>/exec", ExecConsumer.as_asgi()),  # type: ignore[no-untyped-call]
]
