"""What tests do with several hosts: run scripts in workspaces, choose who gets work, look at their disks."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from hostagent import control
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.volume import Volume
from tests.e2e.running import RunningStack

LIMIT_S = 90.0  # for whatever is to happen at all
# Different for each host, so that the sum tells which of them take work.
SANDBOXES = {"a": 8, "b": 4, "c": 2}
FINAL = ("completed", "error")


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


def until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {LIMIT_S:.0f} s: {what}"
        time.sleep(0.05)


class Fleet:
    """`a` is the stack's own host, the others are further ones."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.http = stack.client()

    # --- Jobs ---

    def submit(self, script: str, **fields: Any) -> str:
        answer = self.http.post("/mags-jobs", json={"script": script, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["request_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/mags-jobs/{job_id}").raise_for_status().json()
        return found

    def wait(self, job_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Until the job is so, without asking more often than it changes."""
        deadline = time.monotonic() + LIMIT_S
        job = self.job(job_id)
        while not is_so(job):
            assert time.monotonic() < deadline, job
            query = {"wait": 10, "revision": job["revision"]}
            job = self.http.get(f"/mags-jobs/{job_id}/status", params=query).raise_for_status().json()
        return job

    def finish(self, job_id: str) -> dict[str, Any]:
        return self.wait(job_id, lambda job: job["status"] in FINAL)

    def run(self, script: str, **fields: Any) -> tuple[dict[str, Any], list[str]]:
        """The finished job and the lines that it printed."""
        job = self.finish(self.submit(script, **fields))
        assert (job["status"], job["exit_code"]) == ("completed", 0), (job, self.output(job["id"]))
        return job, self.output(job["id"])

    def output(self, job_id: str) -> list[str]:
        logs = self.http.get(f"/mags-jobs/{job_id}/logs").raise_for_status().json()["logs"]
        return [entry["message"] for entry in logs if entry["stream"] == "stdout"]

    def sync(self, name: str) -> dict[str, Any]:
        """The receipt."""
        receipt: dict[str, Any] = self.http.post(f"/mags-jobs/{name}/sync").raise_for_status().json()
        return receipt

    def end(self, job_id: str) -> dict[str, Any]:
        """Stop the job; wait until its sandbox is gone and its workspace is free."""
        self.http.post(f"/mags-jobs/{job_id}/stop").raise_for_status()
        return self.wait(job_id, lambda job: job["sandbox"] == "none" and job["status"] in FINAL)

    # --- Workspaces ---

    def workspace(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/mags-workspaces/{name}").raise_for_status().json()
        return found

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Newest first."""
        answer = self.http.get(f"/mags-workspaces/{name}/versions").raise_for_status().json()
        found: list[dict[str, Any]] = answer["versions"]
        return found

    # --- Hosts ---

    def process(self, host: str) -> str:
        return "agent" if host == "a" else f"agent-{host}"

    def state(self, host: str) -> Path:
        return self.stack.layout.agent_state if host == "a" else self.stack.agent(host).state

    def ask(self, host: str, command: str) -> dict[str, Any]:
        with ThreadPoolExecutor(1) as thread:  # a browser's loop may be running in this one
            return thread.submit(asyncio.run, control.ask(self.state(host), command)).result()

    def only(self, *hosts: str) -> None:
        """From now on only these take work. All others must run."""
        for host in SANDBOXES:
            self.ask(host, "undrain" if host in hosts else "drain")
        until(lambda: self.room() == sum(SANDBOXES[host] for host in hosts), f"only {hosts} take work")

    def room(self) -> int:
        return int(self.http.get("/mags-jobs/pool-status").raise_for_status().json()["total_vms"])

    def volume(self, host: str, name: str) -> Volume:
        """What a host has of a workspace, on its disk."""
        store = VolumeStore(self.state(host) / "fs")
        found = [store.volume(*key) for key in store.volumes() if str(key[1]) == self.workspace(name)["id"]]
        assert len(found) == 1, f"{host} has {len(found)} volumes of {name}"
        return found[0]

    def held(self, host: str, name: str) -> dict[str, Any]:
        """What a host's journal says of the sandbox that has a workspace."""
        found = [json.loads(path.read_bytes()) for path in (self.state(host) / "held").glob("*")]
        workspace = self.workspace(name)["id"]
        (record,) = [record for record in found if record["wish"]["volume"]["id"] == workspace]
        return dict(record)

    def processes(self, host: str, sandbox_id: str) -> list[int]:
        """The pids of a sandbox on a host."""
        instance = self.stack.layout.instance if host == "a" else self.stack.agent(host).instance
        groups = [root / instance / sandbox_id for root in Path("/sys/fs/cgroup").glob("*")]
        inner = [folder for group in groups for folder, _, _ in os.walk(group)]
        return sorted({pid for folder in inner for pid in processes_in(folder)})

    def log(self, host: str, event: str, name: str) -> Iterator[dict[str, str]]:
        """What a host's agent has logged about a workspace."""
        workspace = self.workspace(name)["id"]
        for line in self.stack.log(self.process(host)).splitlines():
            fields = dict(re.findall(r"(\w+)=(\S+)", line))
            if fields.get("event") == event and fields.get("workspace") == workspace:
                yield fields


def http_as(stack: RunningStack, key: str) -> httpx.Client:
    """A client of the host API, as the host with this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"{stack.url}/api/host/v1", headers=headers, timeout=30, trust_env=False)


def stale_host_is_refused(
    fleet: Fleet, host: str, wish: dict[str, Any], boot_epoch: int, parent: str
) -> None:
    """What the host would say of a sandbox that was given away, had it not noticed anything."""
    key = json.loads((fleet.state(host) / "identity.json").read_bytes())["key"]
    said = {"boot_epoch": boot_epoch, "sandbox_id": wish["sandbox_id"], "epoch": wish["epoch"]}
    version = {
        "manifest": "ab" * 32, "parent": parent, "reason": "sync", "sync": 2, "made_at": 1, "tree_bytes": 1,
    }  # fmt: skip
    with http_as(fleet.stack, key) as http:
        for path, body in (
            ("/versions", said | version),
            ("/objects", said | {"get": [], "put": [["ab" * 32, 10]]}),
        ):
            answer = http.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "stale_lease"), path


def processes_in(cgroup: str) -> list[int]:
    """None where it has gone meanwhile."""
    try:
        return [int(pid) for pid in Path(cgroup, "cgroup.procs").read_text().split()]
    except OSError:
        return []
