"""One job at a time: submit answered, submit -> finished and seen, against `crun run` and `docker run`.

The three take turns, one run each, so that whatever else the machine does hits all of them alike.

    python -m bench.latency [--runs 200]
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

from bench.common import ROOT, Figures, Server, figures, save
from bench.rivals import crun_floor, docker_rival, hide_unified_cgroups

WARM_UP = 5


def measure(runs: int) -> tuple[list[Figures], dict[str, object]]:
    server = Server()
    hide_unified_cgroups()
    rootfs = ROOT / "var/agent/fs/images/standard"
    submit: list[float] = []
    finished: list[float] = []
    crun: list[float] = []
    docker: list[float] = []
    stages: dict[str, list[float]] = {}
    with ExitStack() as stack:
        floor = stack.enter_context(crun_floor(rootfs))
        rival = stack.enter_context(docker_rival(rootfs))
        for number in range(runs + WARM_UP):
            begun = time.perf_counter()
            job_id = server.submit("echo hi")
            answered = time.perf_counter()
            job = server.finish(job_id)
            seen = time.perf_counter()
            if job["status"] != "completed" or job["exit_code"] != 0:
                raise RuntimeError(f"job {job_id} ended as {job['status']}: {job['reason']}")
            floor_ms = floor.run_ms(number)
            docker_ms = rival.run_ms(number) if rival and number < WARM_UP + 40 else None
            if number < WARM_UP:
                continue
            submit.append((answered - begun) * 1000)
            finished.append((seen - begun) * 1000)
            crun.append(floor_ms)
            if docker_ms is not None:
                docker.append(docker_ms)
            for stage, ms in job["timings"].items():
                stages.setdefault(stage, []).append(ms)
    series = [
        figures("submit answered", submit),
        figures("submit -> finished", finished),
        figures("crun run", crun),
    ]
    if docker:
        series.append(figures("docker run", docker))
    series += [figures(f"stage {stage}", values) for stage, values in stages.items()]
    notes: dict[str, object] = {"ratio to crun run (p50)": round(series[1].p50_ms / series[2].p50_ms, 2)}
    if docker:
        notes["ratio to docker run (p50)"] = round(series[1].p50_ms / series[3].p50_ms, 2)
    else:
        notes["docker run"] = "not measured: docker.io is not installed (apt-get install docker.io)"
    return series, notes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    save("latency", *measure(parser.parse_args().runs))
