"""Calls about the account and its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mags import wire
from mags._async.connection import AsyncConnection


class Account(AsyncConnection):
    """Who you are, and your tokens."""

    async def whoami(self) -> dict[str, Any]:
        """Who the token belongs to."""
        return await self._call(wire.Request("GET", "/auth/me"))

    async def token_list(self, *, page: int = 1, page_size: int = 20) -> dict[str, Any]:
        """Your tokens without their text: `{"tokens": [...], "total": N, ...}`."""
        return await self._call(
            wire.Request("GET", "/auth/tokens", query={"page": page, "page_size": page_size})
        )

    async def token_create(
        self,
        name: str,
        *,
        expires_at: datetime | str | None = None,
        scopes: Sequence[str] = ("run",),
        workspace: str | None = None,
    ) -> dict[str, Any]:
        """Make a token. Its text is under `token` in this answer and nowhere else. `scopes` are of "read",
        "run" and "admin", each with the ones before it; with `workspace` it is for that one only."""
        until = expires_at.isoformat() if isinstance(expires_at, datetime) else expires_at
        body = {"name": name, "expires_at": until, "scopes": list(scopes), "workspace": workspace}
        return await self._call(wire.Request("POST", "/auth/tokens", body=body, is_repeatable=False))

    async def token_revoke(self, token_id: int) -> None:
        """Refuse a token from now on. What it holds open is closed within seconds."""
        await self._call(wire.Request("DELETE", f"/auth/tokens/{token_id:d}"))
