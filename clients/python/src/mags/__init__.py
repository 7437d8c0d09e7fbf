"""Mags: run scripts in isolated sandboxes on your own servers.

    from mags import Mags
    print(Mags().run_and_wait("echo hi")["logs"])

The clients are imported when first used, because the `mags` command imports this package too and
`mags --version` needs no HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mags.errors import MagsError

if TYPE_CHECKING:
    from mags._async.client import AsyncMags
    from mags._sync.client import Mags

__version__ = "0.1.0"
__all__ = ["AsyncMags", "Mags", "MagsError"]


def __getattr__(name: str) -> object:
    if name == "Mags":
        from mags._sync.client import Mags  # noqa: PLC0415

        return Mags
    if name == "AsyncMags":
        from mags._async.client import AsyncMags  # noqa: PLC0415

        return AsyncMags
    raise AttributeError(f"module 'mags' has no attribute {name!r}")
