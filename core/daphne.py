"""Bounds that daphne does not set: it stores every body and frame in full before we see a byte."""

from __future__ import annotations

from typing import Any

import daphne.http_protocol
import daphne.server
from daphne.http_protocol import WebRequest
from daphne.ws_protocol import WebSocketFactory

from core.bodylimit import largest_bytes

# The largest is a command of 100 KiB, of which JSON makes six times as much at the most.
WEBSOCKET_MESSAGE_LIMIT_BYTES = 640 * 1024
CLOSE_TIMEOUT_S = 15  # a slow client reads what was sent before the close; after 1 s it lost that


class BoundedRequest(WebRequest):
    """Keeps one byte more of a body than any path allows; `BodyLimit` refuses it for that byte."""

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        assert self.content is not None  # noqa: S101 - Twisted made it when the headers ended
        room = largest_bytes() + 1 - self.content.tell()
        if room > 0:
            super().handleContentChunk(data[:room])  # type: ignore[no-untyped-call]


class BoundedWebSocketFactory(WebSocketFactory):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.setProtocolOptions(  # type: ignore[no-untyped-call]
            maxFramePayloadSize=WEBSOCKET_MESSAGE_LIMIT_BYTES,
            maxMessagePayloadSize=WEBSOCKET_MESSAGE_LIMIT_BYTES,
            closeHandshakeTimeout=CLOSE_TIMEOUT_S,
        )


def bound() -> None:
    """Daphne has no setting for either, and makes these objects by their names in its modules."""
    replaced = [
        (daphne.http_protocol, "WebRequest", BoundedRequest),
        (daphne.server, "WebSocketFactory", BoundedWebSocketFactory),
    ]
    for module, name, bounded in replaced:
        setattr(module, name, bounded)
