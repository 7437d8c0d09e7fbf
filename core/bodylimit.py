"""Refuses too large bodies before anything of ours reads them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from core import requestid
from core.api.body import error_body
from core.errors import TooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class _OverLimit(Exception):
    """The chunked body went over the limit."""


def limit_bytes(path: str) -> int:
    """How large a request body for this path may be."""
    limit: int = (
        settings.HOST_BODY_LIMIT_BYTES if path.startswith("/api/host/") else settings.BODY_LIMIT_BYTES
    )
    return limit


def largest_bytes() -> int:
    """How large a request body for any path may be."""
    return max(settings.HOST_BODY_LIMIT_BYTES, settings.BODY_LIMIT_BYTES)


class BodyLimit:
    """ASGI wrapper: 413 in the API's shape, from Content-Length or as soon as a chunked body is over.

    The server in front has received the body by then; core/daphne.py bounds what it keeps.
    """

    def __init__(self, app: App, limit: Callable[[str], int] = limit_bytes) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        limit = self.limit(scope["path"])
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            await _refuse(send, limit)
            return
        seen = 0
        has_started = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _OverLimit
            return message

        async def noted(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except _OverLimit:
            if has_started:
                raise
            await _refuse(send, limit)


async def _refuse(send: Send, limit: int) -> None:
    made = requestid.begin(None)
    error = TooLarge(f"The request body is over {limit} bytes.")
    body = json.dumps(error_body(error)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", made.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
