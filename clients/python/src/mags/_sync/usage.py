# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""Calls about what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mags import wire
from mags._sync.connection import Connection

if TYPE_CHECKING:
    from mags.types import Usage as UsageAnswer


class Usage(Connection):
    def usage(self, *, window_days: int = 30) -> UsageAnswer:
        """What you used in the last days, today included: `total_jobs`, `vm_seconds`, `storage_bytes` and
        more, also by day, workspace and token. What the server does not meter is None."""
        request = wire.Request("GET", "/mags-jobs/usage", query={"window_days": window_days})
        return cast("UsageAnswer", self._call(request))
