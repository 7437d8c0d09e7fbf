"""Who is connected to what: limits, and the evidence that the agent's idle rule looks at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hostagent.dataport.errors import Refused
from hostagent.dataport.settings import Settings
from relay import Pair

FORGET_S = 24 * 3600.0  # what nobody has connected to for so long is not told of any more
QUIET_S = 1.0  # bytes after such a pause may meet a sandbox that was frozen meanwhile


@dataclass(slots=True, eq=False)
class Connection:
    """One connection, from the moment its ticket was found good."""

    sandbox_id: str
    kind: str  # "tcp", "ssh" or "exec"
    stirred: Callable[[str], None]
    pair: Pair = field(init=False)
    bytes: int = 0
    active_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.pair = Pair(self._count)

    def _count(self, number: int) -> None:
        now = time.monotonic()
        if now - self.active_at > QUIET_S:
            self.stirred(self.sandbox_id)
        self.active_at = now
        self.bytes += number


class Connections:
    def __init__(self, settings: Settings, stirred: Callable[[str], None]) -> None:
        """`stirred` is told of a sandbox to which bytes go after a pause."""
        self._settings = settings
        self._stirred = stirred
        self._open: dict[str, set[Connection]] = {}
        self._last: dict[str, float] = {}  # sandboxes without a connection now: when the last byte passed

    def open(self, sandbox_id: str, kind: str) -> Connection:
        """Counted before anything is done for it: a sandbox that has a connection is not put to sleep."""
        if sum(map(len, self._open.values())) >= self._settings.connections_limit:
            raise Refused(503, "too_many_connections", "this host has too many connections")
        if len(self._open.get(sandbox_id, ())) >= self._settings.sandbox_connections_limit:
            raise Refused(503, "too_many_connections", "this sandbox has too many connections")
        connection = Connection(sandbox_id, kind, self._stirred)
        self._open.setdefault(sandbox_id, set()).add(connection)
        return connection

    def close(self, connection: Connection) -> None:
        connections = self._open[connection.sandbox_id]
        connections.remove(connection)
        self._last[connection.sandbox_id] = max(
            connection.active_at, self._last.get(connection.sandbox_id, 0)
        )
        if not connections:
            del self._open[connection.sandbox_id]
            self._forget_old()

    def _forget_old(self) -> None:
        limit = time.monotonic() - FORGET_S
        for sandbox_id in [key for key, at in self._last.items() if at < limit]:
            del self._last[sandbox_id]

    def abort(self, sandbox_id: str, kind: str | None = None) -> int:
        """Cut a sandbox's connections (of one kind); answers how many."""
        doomed = [c for c in self._open.get(sandbox_id, ()) if kind in (None, c.kind)]
        for connection in doomed:
            connection.pair.abort()
        return len(doomed)

    def abort_all(self) -> None:
        for sandbox_id in list(self._open):
            self.abort(sandbox_id)

    def evidence(self) -> dict[str, Any]:
        """Of each sandbox: open connections by kind, and how long ago the last byte passed (ms)."""
        now = time.monotonic()
        return {sandbox_id: self._of(sandbox_id, now) for sandbox_id in sorted({*self._open, *self._last})}

    def _of(self, sandbox_id: str, now: float) -> dict[str, int]:
        connections = self._open.get(sandbox_id, set())
        active_at = max([c.active_at for c in connections] + [self._last.get(sandbox_id, 0.0)])
        return {
            "tcp": sum(c.kind == "tcp" for c in connections),
            "ssh": sum(c.kind == "ssh" for c in connections),
            "exec": sum(c.kind == "exec" for c in connections),
            "quiet_ms": round((now - active_at) * 1000),
        }
