"""Whether a sandbox is idle: nobody uses it, and it does nothing by itself that counts.

Only arithmetic: times are seconds of one monotonic clock, and what is looked at is given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hostagent.heldwire import Evidence, SleepWish

LOOKS = 20  # in one idle_s
LOOK_LIMIT_S = 30.0  # a long idle_s is not overrun by more than this
KEPT_LOOKS = 200  # in one idle_s, which may be weeks


@dataclass(frozen=True, slots=True)
class Use:
    """What uses a sandbox at one moment."""

    at: float
    cpu_ms: int  # so far, of everything in it
    connections: int
    execs: int
    runs: int
    active_at: float  # when the last byte passed, or somebody came or went, as far as is known


class IdleWatch:
    """Sees a sandbox now and then. CPU is looked at over a window that moves on with each look."""

    def __init__(self) -> None:
        self._quiet_since = 0.0
        self._window: deque[tuple[float, int]] = deque()  # when it was seen, and its CPU until then

    def restart(self, at: float) -> None:
        """Something has happened: idleness counts from now."""
        self._quiet_since = max(self._quiet_since, at)
        self._window.clear()

    def see(self, use: Use, wish: SleepWish) -> Evidence | None:
        """The evidence, where the sandbox is idle."""
        if _is_used(use, wish):
            self.restart(use.at)
        elif use.active_at > self._quiet_since:
            self.restart(use.active_at)
        if not self._window or use.at - self._window[-1][0] >= wish.idle_s / KEPT_LOOKS:
            self._window.append((use.at, use.cpu_ms))
        self._narrow(use.at - wish.idle_s)
        began_at, cpu_before_ms = self._window[0]
        window_s, cpu_ms = use.at - began_at, use.cpu_ms - cpu_before_ms
        if window_s < wish.idle_s or cpu_ms >= window_s * 10 * wish.cpu_percent:
            return None
        idle_ms = round((use.at - self._quiet_since) * 1000)
        return Evidence(idle_ms, cpu_ms, round(window_s * 1000), use.connections, use.execs, use.runs)

    def _narrow(self, until: float) -> None:
        """To the shortest window that is long enough, if there is one."""
        while len(self._window) > 1 and self._window[1][0] <= until:
            self._window.popleft()

    def next_look_s(self, at: float, wish: SleepWish) -> float:
        """Until it is worth looking again."""
        step = min(wish.idle_s / LOOKS, LOOK_LIMIT_S)
        due = self._window[0][0] + wish.idle_s - at if self._window else step
        return min(step, due) if due > 0 else step


def _is_used(use: Use, wish: SleepWish) -> bool:
    return bool(use.connections or use.execs or (use.runs and not wish.with_runs))
