"""What every benchmark shares: the server under test, figures, and the page of results."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Figures:
    """One measured series, in milliseconds."""

    name: str
    count: int
    p50_ms: float
    p95_ms: float
    min_ms: float
    max_ms: float


def figures(name: str, samples_ms: Sequence[float]) -> Figures:
    ordered = sorted(samples_ms)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    rounded = [round(v, 2) for v in (statistics.median(ordered), p95, ordered[0], ordered[-1])]
    return Figures(name, len(ordered), *rounded)


def settings() -> dict[str, str]:
    """MAGS_API_URL and MAGS_API_TOKEN from the environment, else from the file that `make up` leaves."""
    found = {}
    file = ROOT / "var" / "dev.env"
    if file.exists():
        found = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    found.update({k: v for k, v in os.environ.items() if k.startswith("MAGS_API_")})
    if not found.get("MAGS_API_URL") or not found.get("MAGS_API_TOKEN"):
        sys.exit("no server to measure: run `make up`, or set MAGS_API_URL and MAGS_API_TOKEN")
    return found


class Server:
    """A client as thin as possible: one keep-alive connection, nothing but the calls."""

    def __init__(self) -> None:
        found = settings()
        self.http = httpx.Client(
            base_url=f"{found['MAGS_API_URL']}/api/v1",
            headers={"Authorization": f"Bearer {found['MAGS_API_TOKEN']}"},
            timeout=90,
            trust_env=False,
        )

    def submit(self, script: str, **fields: Any) -> str:
        answer = self.http.post("/mags-jobs", json={"script": script, **fields})
        answer.raise_for_status()
        return str(answer.json()["request_id"])

    def finish(self, job_id: str, deadline_s: float = 120) -> dict[str, Any]:
        """Wait for the end as a client does: long polls, each answered at the next change."""
        end = time.monotonic() + deadline_s
        while True:
            answer = self.http.get(f"/mags-jobs/{job_id}/status", params={"wait": 30})
            answer.raise_for_status()
            job: dict[str, Any] = answer.json()
            if job["status"] in ("completed", "error"):
                return job
            if time.monotonic() > end:
                raise TimeoutError(f"job {job_id} is still {job['status']}")


def facts() -> dict[str, Any]:
    """The machine, so that figures of two machines are never mixed up."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    memory_kb = int(Path("/proc/meminfo").read_text().split(maxsplit=2)[1])
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kb / 1024 / 1024, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit,
    }


def save(name: str, series: Sequence[Figures], notes: dict[str, Any]) -> Path:
    """Write `results/<date>-<name>.json` and print the table."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.json"
    content = {"machine": facts(), "notes": notes, "series": [asdict(s) for s in series]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    width = max((len(s.name) for s in series), default=0)
    for s in series:
        print(f"{s.name:<{width}}  n={s.count:<5} p50 {s.p50_ms:8.2f} ms   p95 {s.p95_ms:8.2f} ms")
    for key, value in notes.items():
        print(f"{key}: {value}")
    print(f"-> {path.relative_to(ROOT)}")
    return path
