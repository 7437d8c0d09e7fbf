# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""Calls about the account and its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mags import wire
from mags._sync.connection import Connection


class Account(Connection):
    """Who you are, and your tokens."""

    def whoami(self) -> dict[str, Any]:
        """Who the token belongs to."""
        return self._call(wire.Request("GET", "/auth/me"))

    def token_list(self, *, page: int = 1, page_size: int = 20) -> dict[str, Any]:
        """Your tokens without their text: `{"tokens": [...], "total": N, ...}`."""
        return self._call(wire.Request("GET", "/auth/tokens", query={"page": page, "page_size": page_size}))

    def token_create(
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
        return self._call(wire.Request("POST", "/auth/tokens", body=body, is_repeatable=False))

    def token_revoke(self, token_id: int) -> None:
        """Refuse a token from now on. What it holds open is closed within seconds."""
        self._call(wire.Request("DELETE", f"/auth/tokens/{token_id:d}"))
