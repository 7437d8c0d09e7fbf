# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""What the calls of a client have in common: its settings and its connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mags import config, wire
from mags._sync.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from mags.errors import MagsError


class Connection:
    """Settings and connections. `AsyncMags` says what the arguments mean."""

    def __init__(
        self,
        api_token: str | None = None,
        api_url: str | None = None,
        timeout: float = 30.0,
        *,
        retry_for: float = 8.0,
        reconnect_for: float = 120.0,
        on_retry: Callable[[MagsError, float], None] | None = None,
    ) -> None:
        self._config = config.resolve(api_url, api_token)
        self._retry_for_s = retry_for
        self._reconnect_for_s = reconnect_for
        self._transport = Transport(self._config, timeout_s=timeout, on_retry=on_retry)

    @property
    def api_url(self) -> str:
        return self._config.api_url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def _call(self, request: wire.Request, *, is_following: bool = False) -> dict[str, Any]:
        patience_s = self._reconnect_for_s if is_following else self._retry_for_s
        return self._transport.call(request, patience_s=patience_s)
