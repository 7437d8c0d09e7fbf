"""Pools for tests, and what they may leave behind: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hostagent.config import Config
from hostagent.linux import iproute
from hostagent.network import NetworkPool
from tests.privileged.internet import RESOLVER4, RESOLVER6, SANDBOXES4, SANDBOXES6

INSTANCE = "nt"


def pool_config(**settings: Any) -> Config:
    values: dict[str, Any] = {
        "instance": INSTANCE,
        "sandboxes": 2,
        "network4": SANDBOXES4,
        "network6": SANDBOXES6,
        "resolvers": f"{RESOLVER4} {RESOLVER6}",
    }
    return Config(**(values | settings))


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[NetworkPool]:
    pool = NetworkPool(pool_config(**settings))
    try:
        await pool.open()
        yield pool
    finally:
        await pool.close(everything=True)
    assert remains(settings.get("instance", INSTANCE)) == []


def remains(instance: str = INSTANCE) -> list[str]:
    links = [name for name in iproute.link_names() if name.startswith(f"{instance}-")]
    tables = [instance] if iproute.nft_table(instance) else []
    return links + tables
