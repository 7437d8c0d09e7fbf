"""Sends requests over kept connections and tries again when that makes sense."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpcore

from mags import network, wire
from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mags.config import Config
    from mags.upload import Upload


class AsyncTransport:
    """`on_retry(error, delay_s)` is called before each wait for another try."""

    def __init__(
        self, config: Config, *, timeout_s: float, on_retry: Callable[[MagsError, float], None] | None = None
    ) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._on_retry = on_retry
        self._pool = self._new_pool(config.api_url)

    @staticmethod
    def _new_pool(url: str) -> httpcore.AsyncConnectionPool:
        context: ssl.SSLContext | None = network.tls_context() if url.startswith("https:") else None
        proxy = network.proxy_for(url)
        if proxy:
            return httpcore.AsyncHTTPProxy(proxy.url, proxy_auth=proxy.auth, ssl_context=context)
        return httpcore.AsyncConnectionPool(ssl_context=context)

    async def call(self, request: wire.Request, *, patience_s: float) -> dict[str, Any]:
        """The answer's body. Tries for `patience_s` (waiting asked for not counted), then raises."""
        give_up_at = time.monotonic() + patience_s
        attempt = 0
        while True:
            retry_after: str | None = None
            sent_at = time.monotonic()
            try:
                status, headers, content = await self._send(request)
                retry_after = headers.get("retry-after")
                return wire.parse_answer(status, headers, content, self._config.api_url)
            except MagsError as error:
                if attempt == 0:  # a long poll that broke after 30 s of quiet has all its patience left
                    give_up_at += time.monotonic() - sent_at
                delay_s = wire.retry_delay(error, attempt, retry_after)
                if delay_s is None or not request.is_repeatable or time.monotonic() + delay_s > give_up_at:
                    raise
                if self._on_retry:
                    self._on_retry(error, delay_s)
            await anyio.sleep(delay_s)
            attempt += 1

    async def _send(self, request: wire.Request) -> tuple[int, dict[str, str], bytes]:
        read_s = self._timeout_s + request.wait_s
        timeouts = {"connect": self._timeout_s, "write": self._timeout_s, "read": read_s, "pool": None}
        try:
            response = await self._pool.request(
                request.method,
                self._config.api_url + request.target(),
                headers=request.headers(self._config.api_token),
                content=_pieces(request.upload) if request.upload else request.content(),
                extensions={"timeout": timeouts},
            )
        except (*network.FAILURES, OSError) as error:
            if request.upload and isinstance(error, OSError):  # of the caller's on_progress
                raise
            raise network.failure(error, self._config.api_url) from error
        return response.status, network.header_dict(response.headers), response.content

    async def aclose(self) -> None:
        await self._pool.aclose()


async def _pieces(upload: Upload) -> AsyncIterator[bytes]:
    """Reads as it sends: a piece of a local file is there sooner than the network took the last."""
    for piece in upload.pieces():
        yield piece
