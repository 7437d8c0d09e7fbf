"""Uploads under daphne: as much of a body on disk as a file may have, and never in memory.

Daphne stores a body in a file, but then Twisted reads a form whole to parse it, and daphne reads the whole
file into the application's queue. For uploads neither happens: the file itself is handed over, as the
attribute of an empty body, and `Uploads` gives Django one piece after the other. The other way round, daphne
takes all that an application sends, however slow the client is: here the application waits for the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import daphne.http_protocol
from daphne.http_protocol import WebRequest
from daphne.server import Server
from django.conf import settings

from core.bodylimit import BodyLimit
from core.daphne import BoundedRequest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

PATHS = frozenset({"/api/v1/mags-files", "/api/v2/mags-files"})
FORM_BYTES = 64 * 1024  # of a form besides its file
PIECE_BYTES = 256 * 1024


def limit_bytes(path: str = "") -> int:  # noqa: ARG001 - the same for all of them
    """How large the body of an upload may be."""
    limit: int = settings.FILE_LIMIT_MB * 1024 * 1024 + FORM_BYTES
    return limit


class BodyFile(bytes):
    """No bytes; `file` has the body."""

    file: Any


class HandedOver:
    """Stands for a request's content: what daphne reads of it is a `BodyFile`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> BodyFile:  # noqa: ARG002 - a file's signature
        body = BodyFile()
        body.file = self._file
        return body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class UploadRequest(BoundedRequest):
    """A request that may carry a file, or be answered with one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._is_free = asyncio.Event()
        self._is_free.set()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        # The request itself knows its address only when it is complete.
        if not _is_upload(self.channel._path):
            super().handleContentChunk(data)
            return
        assert self.content is not None  # noqa: S101 - Twisted made it when the headers ended
        room = limit_bytes() + 1 - self.content.tell()  # `BodyLimit` refuses it for that byte
        if room > 0:
            WebRequest.handleContentChunk(self, data[:room])  # type: ignore[no-untyped-call]

    async def drained(self) -> None:
        """Until the client has taken most of what it was sent."""
        await self._is_free.wait()

    def handle_reply(self, message: Message) -> None:
        """As daphne's, but told by Twisted when the client is slower than we are."""
        is_part = message["type"] == "http.response.body" and message.get("more_body", False)
        if is_part and self.producer is None:
            self.registerProducer(self, True)  # type: ignore[no-untyped-call]
        elif not is_part and self.producer is not None:
            self.unregisterProducer()  # type: ignore[no-untyped-call]
        super().handle_reply(message)  # type: ignore[no-untyped-call]

    def pauseProducing(self) -> None:  # noqa: N802 - twisted's names, from here on
        self._is_free.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        self._is_free.set()

    def stopProducing(self) -> None:  # noqa: N802 - the client has gone
        self._is_free.set()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        if _is_upload(path):
            self._parsePOSTFormSubmission = False
            self.content = HandedOver(self.content)
        super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]


def _is_upload(uri: Any) -> bool:
    path: str = uri.partition(b"?")[0].decode("latin-1")
    return path in PATHS


class Uploads:
    """ASGI wrapper: requests that carry a file, read piece by piece and bounded by their own limit."""

    def __init__(self, app: App, others: App) -> None:
        self._app = BodyLimit(app, limit_bytes)
        self._others = others

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] in PATHS:
            await self._app(scope, _from_file(receive), send)
        else:
            await self._others(scope, receive, send)


def _from_file(receive: Receive) -> Receive:
    """The messages of a request whose body may have been handed over."""
    file: Any = None
    is_read = False

    async def piece() -> Message:
        nonlocal file, is_read
        if file is None or is_read:
            message = await receive()
            if not isinstance(message.get("body"), BodyFile):
                return message
            file = message["body"].file
        try:
            body = await asyncio.to_thread(file.read, PIECE_BYTES)
        except ValueError:  # closed: the client has gone
            return {"type": "http.disconnect"}
        is_read = len(body) < PIECE_BYTES
        return {"type": "http.request", "body": body, "more_body": not is_read}

    return piece


async def _reply_and_drain(server: Server, protocol: Any, message: Message) -> None:
    await _reply(server, protocol, message)  # type: ignore[no-untyped-call]
    if message.get("more_body") and isinstance(protocol, UploadRequest):
        await protocol.drained()


_reply = Server.handle_reply


def accept_uploads() -> None:
    """Daphne has no setting for it; as in `core.daphne.bound`, after which this is to be called."""
    setattr(daphne.http_protocol, "WebRequest", UploadRequest)  # noqa: B010 - a type, to the checker
    setattr(Server, "handle_reply", _reply_and_drain)  # noqa: B010
