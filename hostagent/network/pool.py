"""The pool: prepared slots to take in no time, and fresh ones in their place."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hostagent.config import Config
from hostagent.errors import AgentError, DriverError
from hostagent.linux import iproute, sysctl
from hostagent.network import forwarding, rules, wiring
from hostagent.network.firewall import Firewall
from hostagent.network.layout import Layout, NetworkSlot
from hostagent.network.resolvers import resolvers
from hostagent.network.wiring import Wiring

SPARE = (
    4  # slots beyond `sandboxes`, so that a start does not wait for the renewal of what just ended (10 ms)
)
RETRY_S = 1.0  # after a renewal that failed; each costs about 10 ms

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class NetworkPool:
    """`adopt` what recovered sandboxes use, then `open`, then `take` and `give`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._layout = Layout.of(config, has_ipv6=sysctl.exists("net/ipv6"))
        self._worker = ThreadPoolExecutor(1, "network")  # for nothing else: it changes namespaces
        self._wiring: Wiring | None = None
        self._taken: dict[int, NetworkSlot] = {}
        self._ready: asyncio.Queue[NetworkSlot] = asyncio.Queue()
        self._returned: asyncio.Queue[NetworkSlot] = asyncio.Queue()
        self._firewall: Firewall | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def adopt(self, index: int) -> NetworkSlot:
        """Before `open`: a recovered sandbox uses this slot. What it returns is for `give` later."""
        if self._wiring is not None:
            raise DriverError(f"network slot {index} was adopted after the pool was opened")
        return self._taken.setdefault(index, self._layout.slot(index))

    async def open(self) -> None:
        """Forwarding, firewall, and a full pool. What dead agents of this instance left is removed."""
        for slot in await self._call(self._open):
            self._ready.put_nowait(slot)
        self._tasks = [asyncio.create_task(work) for work in (self._renew_for_ever(), self._guard_rules())]

    async def take(self) -> NetworkSlot:
        """A pristine slot; waits where all are in use."""
        if self._wiring is None:
            raise DriverError("the network pool is not open")
        slot = await self._ready.get()
        self._taken[slot.index] = slot
        return slot

    async def give(self, slot: NetworkSlot) -> None:
        """End the use of a slot, by the very object that `take` or `adopt` returned. Repeated: no effect.

        Its processes are dead. It is made anew in the background; nothing of it reaches the next tenant."""
        if self._taken.get(slot.index) is slot:
            del self._taken[slot.index]
            self._returned.put_nowait(slot)

    async def close(self, *, everything: bool) -> None:
        """Let go of the pool; running sandboxes keep their networks. `everything` (also without `open`):
        remove all that any agent of this instance ever made, and put forwarding back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._call(self._close_everything if everything else self._close)
        finally:
            self._worker.shutdown(wait=False)

    async def _call(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _renew_for_ever(self) -> None:
        while True:
            slots = [await self._returned.get()]
            while not self._returned.empty():
                slots.append(self._returned.get_nowait())
            await self._renew(slots)

    async def _renew(self, slots: list[NetworkSlot]) -> None:
        try:
            for slot in await self._call(lambda: self._remake(slots)):
                self._ready.put_nowait(slot)
        except Exception:  # noqa: BLE001  a loop: the pool must not run dry for good
            _log.exception("network slots could not be renewed; trying again in %s s", RETRY_S)
            await asyncio.sleep(RETRY_S)
            for slot in slots:
                self._returned.put_nowait(slot)

    async def _guard_rules(self) -> None:
        """Somebody flushes all rules (`systemctl reload nftables` does): without ours a sandbox reaches this
        machine."""
        while self._firewall is not None:
            await _readable(self._firewall.events)
            is_damaged = self._firewall.is_damaged()
            while is_damaged:
                try:
                    await self._call(self._firewall.restore)
                    is_damaged = False
                except (AgentError, OSError):
                    _log.exception("sandboxes run without a firewall; trying again in %s s", RETRY_S)
                    await asyncio.sleep(RETRY_S)

    # From here on: in the worker thread.

    def _open(self) -> list[NetworkSlot]:
        wiring.check_overlap(self._layout)
        servers = resolvers(self._config)
        uplinks = {family: wiring.uplinks(family, servers) for family in (4, 6)}
        record = forwarding.enable(self._config.instance, uplinks[4], uplinks[6])
        count = min(self._config.sandboxes + SPARE, self._layout.capacity)
        policy = rules.Policy(
            indices=tuple(sorted({*range(count), *self._taken})),
            resolvers=tuple(servers),
            denied=tuple(self._config.deny_networks()),
            connections_limit=self._config.connections_limit,
            is_smtp_blocked=self._config.is_smtp_blocked,
            raised4=record.raised(4),
            raised6=record.raised(6),
        )
        self._firewall = Firewall(self._layout, policy)
        self._wiring = made = Wiring(self._layout, wiring.mtu([*uplinks[4], *uplinks[6]]))
        made.unmake(map(self._layout.slot, made.existing() - set(self._taken)))
        return made.make(index for index in range(count) if index not in self._taken)

    def _remake(self, slots: list[NetworkSlot]) -> list[NetworkSlot]:
        if self._wiring is None:
            raise DriverError("the network pool is closed")
        return self._wiring.remake(slots)

    def _close(self) -> None:
        if self._firewall is not None:
            self._firewall.events.close()
        if self._wiring is not None:
            self._wiring.unmake(map(self._layout.slot, self._wiring.existing() - set(self._taken)))
            self._wiring.close()
            self._wiring = None

    def _close_everything(self) -> None:
        self._taken.clear()
        if self._wiring is None:
            self._wiring = Wiring(self._layout)
        self._close()
        wiring.forget_all(self._layout)
        iproute.nft(rules.remove(self._config.instance))
        forwarding.disable(self._config.instance)


async def _readable(source: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(source, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(source)
