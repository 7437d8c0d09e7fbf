"""SIGKILL of the agent, web, worker and Redis at random while 200 jobs run.

Nothing may show: each script starts once, each exit code is the script's own, each byte of output is
there once. The seed is printed, so that a failure can be looked at again.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(600)]

JOBS = int(os.environ.get("CHAOS_JOBS", "200"))
CLIENTS = 12
VICTIMS = ("agent", "web", "worker", "redis")
PAUSE_S = (0.8, 2.5)  # between two kills: shorter than a job's life now and then, longer than a restart


@dataclass(frozen=True)
class Expected:
    script: str
    exit_code: int
    stdout: str
    stderr: str


def make_job(number: int, rng: random.Random) -> Expected:
    """A script with numbered lines on both streams, a pause now and then, and its own exit code."""
    lines = rng.choice([1, 5, 40, 400])
    pause = rng.choice(["", "", "sleep 0.05", "sleep 0.3"]) if lines <= 5 else ""
    rest = rng.choice([0, 0, 0.5, 2])
    exit_code = rng.choice([0, 0, 0, 1, 3, 77, 255])
    script = f"""echo "begin {number}"
i=0
while [ $i -lt {lines} ]; do
  i=$((i+1)); echo "{number} out $i"; echo "{number} err $i" >&2; {pause or ":"}
done
sleep {rest}
echo "end {number}"
exit {exit_code}
"""
    out = [f"begin {number}", *(f"{number} out {i}" for i in range(1, lines + 1)), f"end {number}"]
    err = [f"{number} err {i}" for i in range(1, lines + 1)]
    return Expected(script, exit_code, "\n".join(out) + "\n", "\n".join(err) + "\n")


class PatientClient:
    """Repeats a call until the server answers it, as the SDKs do: creations carry an idempotency key."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=40,
            trust_env=False,
        )

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        end = time.monotonic() + 120
        while True:
            try:
                answer = self.http.request(method, path, **arguments)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                assert answer.status_code < 400, (path, answer.status_code, answer.text)
                found: dict[str, Any] = answer.json()
                return found
            assert time.monotonic() < end, f"{method} {path} found no server for two minutes"
            time.sleep(0.1)

    def submit(self, script: str) -> str:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return str(self.call("POST", "/mags-jobs", json={"script": script}, headers=key)["request_id"])

    def finish(self, job_id: str) -> dict[str, Any]:
        end = time.monotonic() + 240
        while True:
            job = self.call("GET", f"/mags-jobs/{job_id}/status", params={"wait": 10})
            if job["status"] in ("completed", "error"):
                return job
            assert time.monotonic() < end, f"job {job_id} is still {job['status']} ({job['reason']})"

    def output(self, job_id: str) -> dict[str, str]:
        """Everything the job printed, by stream, put together from pages of entries."""
        found = {"stdout": "", "stderr": "", "platform": ""}
        offset = 0
        while True:
            page = self.call("GET", f"/mags-jobs/{job_id}/logs", params={"offset": offset, "limit": 100})
            for entry in page["logs"]:
                newline = "" if entry.get("partial") else "\n"
                found[entry["stream"]] += entry["message"] + newline
            if not page["logs"]:
                return found
            assert page["next_offset"] > offset
            offset = page["next_offset"]


def one_job(stack: Any, number: int, expected: Expected) -> list[str]:
    """Run one job through whatever happens; answers what is wrong with it."""
    client = PatientClient(stack.url, stack.token)
    try:
        job_id = client.submit(expected.script)
        wrong = problems_of(client, job_id, number, expected)
        if wrong:
            print(told_of(stack, job_id))
        return wrong
    finally:
        client.http.close()


def problems_of(client: PatientClient, job_id: str, number: int, expected: Expected) -> list[str]:
    job = client.finish(job_id)
    wrong = []
    if job["status"] != "completed" or job["exit_code"] != expected.exit_code:
        wrong.append(
            f"{number}: {job['status']} {job['reason']!r} exit {job['exit_code']}, not {expected.exit_code}"
            f" ({job['message']})"
        )
    output = client.output(job_id)
    for stream, text in (("stdout", expected.stdout), ("stderr", expected.stderr)):
        if output[stream] != text:
            wrong.append(f"{number}: {stream} has {len(output[stream])} characters, not {len(text)}")
    events = client.call("GET", f"/mags-jobs/{job_id}/events")["events"]
    starts = sum(event["kind"] == "started" for event in events)
    if starts != 1:
        wrong.append(f"{number}: started {starts} times")
    return wrong


def told_of(stack: Any, job_id: str) -> str:
    """The agent's log from the first to the last word about a job that went wrong."""
    lines = stack.log("agent").splitlines()
    about = [number for number, line in enumerate(lines) if job_id in line]
    return "\n".join(lines[about[0] : about[-1] + 1]) if about else "the agent does not know the job"


def killer(stack: Any, rng: random.Random, is_over: threading.Event, kills: list[str]) -> None:
    while not is_over.wait(rng.uniform(*PAUSE_S)):
        victim = rng.choice(VICTIMS)
        stack.kill(victim, signal.SIGKILL)
        kills.append(victim)


def test_nothing_is_lost_doubled_or_invented_under_random_sigkill(stack: Any) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"CHAOS_SEED={seed}")
    rng = random.Random(seed)
    jobs = [make_job(number, rng) for number in range(JOBS)]
    is_over = threading.Event()
    kills: list[str] = []
    thread = threading.Thread(target=killer, args=(stack, random.Random(seed), is_over, kills))
    thread.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            found = list(pool.map(lambda item: one_job(stack, *item), enumerate(jobs)))
    finally:
        is_over.set()
        thread.join()
    print(f"{len(kills)} kills: {kills}")
    wrong = [line for lines in found for line in lines]
    assert not wrong, f"seed {seed}, {len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert len(kills) >= 5, "the jobs were over before anything was killed: nothing was shown"
