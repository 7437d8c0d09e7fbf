"""Jobs per second with several clients, each waiting for its job before the next one.

python -m bench.throughput [--clients 8] [--jobs 400]
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from bench.common import Server, figures, save


def one_client(jobs: int) -> list[float]:
    server = Server()
    took = []
    for _ in range(jobs):
        begun = time.perf_counter()
        job = server.finish(server.submit("echo hi"))
        if job["exit_code"] != 0:
            raise RuntimeError(f"a job ended as {job['status']}: {job['reason']}")
        took.append((time.perf_counter() - begun) * 1000)
    return took


def main(clients: int, jobs: int) -> None:
    one_client(5)
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        samples = [ms for part in pool.map(one_client, [jobs // clients] * clients) for ms in part]
    seconds = time.perf_counter() - begun
    series = [figures(f"submit -> finished, {clients} clients", samples)]
    save("throughput", series, {"jobs": len(samples), "jobs per second": round(len(samples) / seconds, 1)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=400)
    arguments = parser.parse_args()
    main(arguments.clients, arguments.jobs)
