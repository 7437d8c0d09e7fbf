"""Waits for servers that start with their sandbox and do not listen yet."""

from __future__ import annotations

import asyncio
import time

from gateway.dial import Target, dial
from gateway.errors import GatewayError, NothingListens
from gateway.flights import Flights

PAUSE_S = 0.1
HANDSHAKE_S = 10.0


class Settling:
    """One knocks for all visitors of a label."""

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._knocks: Flights[None] = Flights()

    async def wait(self, label: str, target: Target, until: float) -> None:
        """Return when something listens, at `until` (monotonic), or when another try may tell more."""
        await self._knocks.join(label, lambda: self._knock(target, until))

    async def _knock(self, target: Target, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(PAUSE_S)
            try:
                sock, _ = await dial(target, self._connect_s, HANDSHAKE_S)
            except NothingListens:
                continue
            except GatewayError:
                return
            sock.close()
            return
