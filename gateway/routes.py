"""Where labels lead: asked of the control plane, remembered as long as it says, longer while it is away."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from gateway.control import ControlPlane, Kind, Route
from gateway.dial import Target
from gateway.errors import ControlPlaneAway, HostAway, NoSuchLabel, NotRunning, RefusedByHost
from gateway.flights import Flights

ENTRIES_LIMIT = 10_000
UNKNOWN_S = 2.0  # how long a label that does not exist is not asked for again
AWAY_S = 2.0  # how long a control plane that was away is not asked again for what is still known
TICKET_SLACK_S = 5.0  # a ticket must be good for so long yet
WAKE_POLL_S = 20
WAKE_PAUSE_S = 0.5  # where it answered, and the sandbox does not run
SSH_PORT = 22
# Hosts' words for a sandbox that is not where we thought: worth a fresh look.
MOVED = frozenset({"bad_ticket", "ticket_expired", "not_allowed"})
# For one that ends. Its host tells the control plane of that in some ms, or when its agent is back.
ENDING = frozenset({"no_sandbox", "not_awake"})
ENDING_S = 3.0
ENDING_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Key:
    label: str
    kind: Kind


@dataclass(slots=True)
class _Entry:
    route: Route | None  # None: there is no such label
    fresh_until: float  # monotonic
    settling_until: float = 0.0  # monotonic


class Routes:
    def __init__(self, control: ControlPlane, wake_s: float) -> None:
        self._control = control
        self._wake_s = wake_s
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._lookups: Flights[Route] = Flights()
        self._wakes: Flights[Route] = Flights()
        self._ends: Flights[None] = Flights()

    async def target(self, label: str, kind: Kind = "http") -> Target:
        """Where to connect, as soon as the sandbox runs. Raises NoSuchLabel, NotRunning, ControlPlaneAway."""
        key = Key(label, kind)
        route = await self._find(key)
        try:
            async with asyncio.timeout(self._wake_s):
                while (target := _target(route, kind)) is None:
                    route = await self._wakes.join(key, lambda: self._wake(key))
        except TimeoutError as error:
            raise NotRunning(f"the sandbox is still {route.state}") from error
        return target

    async def look_again(self, label: str, error: HostAway | RefusedByHost, kind: Kind = "http") -> None:
        """What was remembered has proved wrong. Raises `error` where that is not what it says."""
        key = Key(label, kind)
        if isinstance(error, RefusedByHost) and error.code in ENDING:
            sandbox_id = error.sandbox_id
            await self._ends.join((key, sandbox_id), lambda: self._end(key, sandbox_id))
        elif isinstance(error, HostAway) or error.code in MOVED:
            self._entries.pop(key, None)
        else:
            raise error

    async def _end(self, key: Key, sandbox_id: str) -> None:
        """Return when the control plane leads elsewhere, or has had its time to hear of the end."""
        deadline = time.monotonic() + ENDING_S
        while True:
            entry = self._entries.get(key)
            if entry is not None and entry.route is not None and entry.route.sandbox_id == sandbox_id:
                del self._entries[key]
            route = await self._find(key)
            if route.sandbox_id != sandbox_id or time.monotonic() >= deadline:
                return
            await asyncio.sleep(ENDING_LOOK_S)

    def settling_until(self, label: str) -> float:
        """When (monotonic) a server that starts with the sandbox behind a URL must listen."""
        entry = self._entries.get(Key(label, "http"))
        return entry.settling_until if entry else 0.0

    async def _find(self, key: Key) -> Route:
        entry = self._entries.get(key)
        if entry is None or time.monotonic() >= entry.fresh_until:
            try:
                return await self._lookups.join(key, lambda: self._look_up(key))
            except ControlPlaneAway:
                if entry is None or entry.route is None or _target(entry.route, key.kind) is None:
                    raise
                entry.fresh_until = time.monotonic() + AWAY_S
        if entry.route is None:
            raise NoSuchLabel("there is no sandbox behind this URL")
        return entry.route

    async def _look_up(self, key: Key) -> Route:
        try:
            route = await self._control.route(key.label, key.kind)
        except NoSuchLabel:
            self._remember(key, None, UNKNOWN_S)
            raise
        self._remember(key, route, route.max_age_s)
        return route

    async def _wake(self, key: Key) -> Route:
        """Ask once. A control plane that is away may be back before the visitor gives up."""
        try:
            route = await self._control.wake(key.label, key.kind, WAKE_POLL_S)
        except ControlPlaneAway:
            await asyncio.sleep(WAKE_PAUSE_S)
            return Route(state="starting", max_age_s=0)
        if _target(route, key.kind) is None:
            await asyncio.sleep(WAKE_PAUSE_S)
        else:
            self._remember(key, route, route.max_age_s)
        return route

    def _remember(self, key: Key, route: Route | None, for_s: float) -> None:
        now = time.monotonic()
        settling_s = route.settling_ms / 1000 if route else 0.0
        self._entries[key] = _Entry(route, now + for_s, now + settling_s)
        self._entries.move_to_end(key)
        while len(self._entries) > ENTRIES_LIMIT:
            self._entries.popitem(last=False)


def _target(route: Route, kind: Kind) -> Target | None:
    """None where there is nothing to connect to (any more)."""
    if route.state != "running" or route.host is None or not route.sandbox_id or not route.ticket:
        return None
    port = SSH_PORT if kind == "ssh" else route.port
    expires_at = (route.ticket_expires_at or 0) / 1000
    if port is None or expires_at < time.time() + TICKET_SLACK_S:
        return None
    return Target(route.host.address, route.host.data_port, route.sandbox_id, port, route.ticket)
