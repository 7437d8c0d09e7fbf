"""Sandboxes that stay: how long a visitor waits for one that is frozen and for one that was stopped, beside
one that is awake; what a hundred frozen web servers take. On a stack of its own; as root.

    python -m bench.standing [--wakes 40] [--stops 15] [--sandboxes 100]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import httpx

from bench.common import Figures, figures, save
from tests.e2e.running import RunningStack, running_stack

SERVE = "cd /root && exec python3 -m http.server 8000"
BEGIN = f"echo hello > /root/index.html; ({SERVE}) >/dev/null 2>&1 &"
IDLE_S, STOP_S = 1, 3
LIMIT_S = 120.0


class Visited:
    """A web server that sleeps soon, and a visitor without a kept connection."""

    def __init__(self, stack: RunningStack, name: str, *, memory_mb: int = 256) -> None:
        self.port = stack.layout.gateway_port
        self.api = stack.client()
        self.http = httpx.Client(timeout=90, trust_env=False)
        body = {
            "script": BEGIN, "workspace_id": name, "persistent": True, "url": True, "port": 8000,
            "startup_command": SERVE, "memory_mb": memory_mb, "vcpus": 1,
            "environment": {"__MAGS_IDLE_MIN": f"{IDLE_S / 60:.3f}"},
        }  # fmt: skip
        self.job = self.api.post("/mags-jobs", json=body).raise_for_status().json()["request_id"]
        self.until(lambda: self.visit() == 200)

    def until(self, is_so: Any) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(self.job)
            time.sleep(0.05)

    def visit(self) -> int:
        headers = {"Host": f"{self.job}.apps.localhost:{self.port}", "Connection": "close"}
        return self.http.get(f"http://127.0.0.1:{self.port}/", headers=headers).status_code

    def visit_ms(self) -> float:
        begun = time.perf_counter()
        status = self.visit()
        took_ms = (time.perf_counter() - begun) * 1000
        if status != 200:
            raise RuntimeError(f"the visit was answered {status}")
        return took_ms

    def last_event(self) -> str:
        answer = self.api.get(f"/mags-jobs/{self.job}/events", params={"page_size": 200})
        return str(answer.raise_for_status().json()["events"][-1]["kind"])

    def asleep(self) -> None:
        self.until(lambda: self.api.get(f"/mags-jobs/{self.job}").json()["sandbox"] == "sleeping")

    def stopped(self) -> None:
        self.until(lambda: self.last_event() == "stopped_idle")

    def end(self) -> None:
        self.api.post(f"/mags-jobs/{self.job}/stop").raise_for_status()


def wakes(wanted: int, stops: int) -> list[Figures]:
    with running_stack(MAGS_IDLE_STOP_S="3600") as stack:
        visited = Visited(stack, "frozen")
        awake = [visited.visit_ms() for _ in range(wanted)]
        frozen = []
        for _ in range(wanted):
            visited.asleep()
            frozen.append(visited.visit_ms())
    with running_stack(MAGS_IDLE_STOP_S=str(STOP_S)) as stack:
        visited = Visited(stack, "stopped")
        stopped = []
        for _ in range(stops):
            visited.stopped()
            stopped.append(visited.visit_ms())
    return [
        figures("visit, awake", awake),
        figures("visit, frozen", frozen),
        figures("visit, stopped: restored, started", stopped),
    ]


def used_mb() -> float:
    """Of the whole machine, without what is only cache."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (found["MemTotal"] - found["MemAvailable"]) / 1024


def crowd(count: int) -> dict[str, Any]:
    """A hundred web servers asleep at once, and whether each of them still answers."""
    own = {"MAGS_AGENT_SANDBOXES": str(count + 8), "MAGS_AGENT_MEMORY_MB": str(512 * (count + 8))}
    with running_stack(None, MAGS_IDLE_STOP_S="0", **own) as stack:
        before_mb = used_mb()
        visited = [Visited(stack, f"server-{number}") for number in range(count)]
        for one in visited:
            one.asleep()
        each_mb = (used_mb() - before_mb) / count
        took_ms = [one.visit_ms() for one in visited]
    woken = figures("", took_ms)
    return {
        "frozen web servers at once": count,
        "memory of each, MB of the machine's": round(each_mb, 1),
        "waking all of them, one after the other, ms p50 and p95": [woken.p50_ms, woken.p95_ms],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wakes", type=int, default=40)
    parser.add_argument("--stops", type=int, default=15)
    parser.add_argument("--sandboxes", type=int, default=100)
    given = parser.parse_args()
    series = wakes(given.wakes, given.stops)
    save("standing", series, crowd(given.sandboxes))


if __name__ == "__main__":
    main()
