"""Output: how much a second is stored, and how long a line takes from the script to a follower.

The follower is a WebSocket client, as the job page is; the clock is the machine's own, read in the
sandbox just before each line is printed.

    python -m bench.logs [--megabytes 15] [--lines 200]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

import websockets

from bench.common import Figures, Server, figures, save, settings

BLOCK = "head -c 1048576 /dev/urandom | base64 -w 100 > /tmp/block\n"  # about 1.4 MB of lines


def stored_rate(megabytes: int) -> tuple[float, int]:
    """MB/s from the first to the last byte stored, below the limit where output is dropped."""
    server = Server()
    loops = max(1, int(megabytes / 1.4))
    script = f"{BLOCK}for i in $(seq {loops}); do cat /tmp/block; done\n"
    begun = time.perf_counter()
    job = server.finish(server.submit(script))
    seconds = time.perf_counter() - begun
    if job["exit_code"] != 0:
        raise RuntimeError(f"the flood ended as {job['status']}: {job['reason']}")
    answer = server.http.get(f"/mags-jobs/{job['request_id']}/logs", params={"offset": 0, "limit": 1}).json()
    if answer["truncated_bytes"]:
        raise RuntimeError(f"{answer['truncated_bytes']} bytes were dropped: measure less")
    size = loops * 1_416_500
    return size / 1e6 / seconds, size


async def line_latency(lines: int) -> list[float]:
    server = Server()
    found = settings()
    job_id = server.submit(f'sleep 1; for i in $(seq {lines}); do echo "$(date +%s%N)"; sleep 0.05; done')
    address = found["MAGS_API_URL"].replace("http", "ws", 1) + f"/ws/jobs/{job_id}/logs"
    samples: list[float] = []
    async with websockets.connect(address, proxy=None) as socket:
        await socket.send(json.dumps({"type": "auth", "token": found["MAGS_API_TOKEN"]}))
        async for text in socket:
            now_ns = time.time_ns()
            message: dict[str, Any] = json.loads(text)
            if message["type"] == "end":
                return samples
            printed = [e["message"] for e in message.get("entries", []) if e["stream"] == "stdout"]
            samples += [(now_ns - int(printed_ns)) / 1e6 for printed_ns in printed]
    return samples


def main(megabytes: int, lines: int) -> None:
    rate, size = stored_rate(megabytes)
    series: list[Figures] = [figures("line printed -> follower", asyncio.run(line_latency(lines)))]
    save("logs", series, {"stored MB/s": round(rate, 1), "bytes": size})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=15)
    parser.add_argument("--lines", type=int, default=200)
    arguments = parser.parse_args()
    main(arguments.megabytes, arguments.lines)
