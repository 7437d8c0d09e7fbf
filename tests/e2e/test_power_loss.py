"""The machine loses its power while workspaces are saved: SIGKILL of all there is of a stack.

What was acknowledged is restored exactly; the head is complete, whatever moment it was. (What the kernel had
not written yet is lost with the power, and is not by SIGKILL: this is about processes.)
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy import up
from deploy.processes import MARKER
from tests.e2e.running import RunningStack

ROUNDS = int(os.environ.get("POWER_ROUNDS", "1"))
LIMIT_S = 120.0
POWER_S = (0.0, 2.0)  # how long there is power after a first sync of each workspace
FINAL = ("completed", "error")

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(240 + ROUNDS * 120)]

# Grows, shrinks, deletes and renames; then tells what there is.
WORK = """
cd /root && mkdir -p tree && head -c {size} /dev/urandom > tree/data.{slot}
rm -rf tree/data.{gone} tree/old && mkdir -p tree/new && touch tree/new/{number} && mv tree/new tree/old
ln -f tree/data.{slot} link && echo {number} > number
"""
LOOK = "cd /root && { find . | sort; find . -type f | sort | xargs sha256sum; } | sha256sum"


class PowerLost(Exception):
    """The server did not answer."""


class InUse(Exception):
    """The workspace is."""


@dataclass(frozen=True)
class Receipt:
    sha256: str
    seen: str  # what LOOK said
    number: int  # of the writer's


@dataclass
class Written:
    """A workspace and what its owner was told is durable, by version."""

    name: str = field(default_factory=lambda: f"power-{uuid4().hex[:8]}")
    number: int = 0
    durable: dict[int, Receipt] = field(default_factory=dict)


class Client:
    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            with self._stack.client() as http:
                answer = http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise PowerLost from error
        if answer.status_code >= 500:
            raise PowerLost
        if answer.status_code == 409:
            raise InUse(answer.text)
        answer.raise_for_status()
        return answer.json()

    def run(self, script: str, workspace: str, *, persistent: bool) -> list[str]:
        """What it printed. It waits for a workspace that is being saved after a loss."""
        deadline = time.monotonic() + LIMIT_S
        fields = {"script": script, "workspace_id": workspace, "persistent": persistent}
        job = self._submit(fields, deadline)
        found: dict[str, Any] = {"status": ""}
        while found["status"] not in FINAL:
            assert time.monotonic() < deadline, found
            found = self.call("GET", f"/mags-jobs/{job}/status", params={"wait": 10})
        assert (found["status"], found["exit_code"]) == ("completed", 0), found
        logs = self.call("GET", f"/mags-jobs/{job}/logs")["logs"]
        return [entry["message"] for entry in logs if entry["stream"] == "stdout"]

    def _submit(self, fields: dict[str, Any], deadline: float) -> str:
        while True:
            with contextlib.suppress(InUse):  # by a job whose end nobody has reported yet
                return str(self.call("POST", "/mags-jobs", json=fields)["request_id"])
            assert time.monotonic() < deadline, fields
            time.sleep(0.1)

    def versions(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call(
            "GET", f"/mags-workspaces/{name}/versions", params={"page_size": 200}
        )["versions"]
        return found


def write_for_ever(client: Client, written: Written, rng: random.Random, synced: threading.Event) -> None:
    """Write and sync until the power goes."""
    with contextlib.suppress(PowerLost):
        while True:
            written.number += 1
            slots = {"slot": written.number % 7, "gone": (written.number + 3) % 7}
            work = WORK.format(number=written.number, size=rng.choice([10, 30_000, 3_000_000]), **slots)
            (seen,) = client.run(work + LOOK, written.name, persistent=True)
            receipt = client.call("POST", f"/mags-jobs/{written.name}/sync")
            written.durable[receipt["version"]] = Receipt(receipt["sha256"], seen, written.number)
            synced.set()


@contextlib.contextmanager
def writing(client: Client, workspaces: list[Written], rng: random.Random) -> Iterator[None]:
    """Somebody writes each, and has had a first answer. To be left when the power is off."""
    synced = [threading.Event() for _ in workspaces]
    writers = [
        threading.Thread(target=write_for_ever, args=(client, written, random.Random(rng.random()), event))
        for written, event in zip(workspaces, synced, strict=True)
    ]
    for writer in writers:
        writer.start()
    for event in synced:
        assert event.wait(LIMIT_S), "no sync was answered"
    yield
    for writer in writers:
        writer.join()


def cut_power(stack: RunningStack) -> int:
    """SIGKILL of every process of the stack, the supervisor first. Returns how many there were."""
    count = 0
    deadline = time.monotonic() + LIMIT_S
    while pids := sorted(set(processes(stack))):
        assert time.monotonic() < deadline, pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                count += 1
    return count


def processes(stack: RunningStack) -> Iterator[int]:
    """Servers, agent and helpers by their environment; shims and sandboxes by their cgroups."""
    marker = f"{MARKER}={stack.layout.var}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            is_dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if not is_dead and marker in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
    for group in Path("/sys/fs/cgroup").glob(f"*/{stack.layout.instance}"):
        for directory, _, _ in os.walk(group):  # leaves out what goes meanwhile
            with contextlib.suppress(OSError):
                yield from map(int, (Path(directory) / "cgroup.procs").read_text().split())


def check(client: Client, written: Written, rng: random.Random) -> None:
    """Nothing that was acknowledged is missing; some of it, and the head, is looked at as it is restored."""
    versions = {version["version"]: version for version in client.versions(written.name)}
    for number, receipt in written.durable.items():
        version = versions[number]
        assert (version["sha256"], version["is_damaged"]) == (receipt.sha256, False)
        assert version["durable_at"] is not None
    for number in {max(written.durable), rng.choice(list(written.durable))}:
        fork = f"{written.name}-{uuid4().hex[:6]}"
        client.call("POST", f"/mags-workspaces/{written.name}/fork", json={"name": fork, "version": number})
        assert client.run(LOOK, fork, persistent=False) == [written.durable[number].seen], number
    # The next run stands on the head: that is as new as what was acknowledged, or one run newer.
    (found,) = client.run("cat /root/number", written.name, persistent=True)
    assert written.durable[max(written.durable)].number <= int(found) <= written.number


def test_what_was_acknowledged_survives_the_loss_of_power(stack: RunningStack) -> None:
    seed = int(os.environ.get("POWER_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"POWER_SEED={seed}")
    rng = random.Random(seed)
    client = Client(stack)
    workspaces = [Written(), Written()]
    for number in range(ROUNDS):
        with writing(client, workspaces, rng):
            time.sleep(rng.uniform(*POWER_S))
            killed = cut_power(stack)
        print(f"round {number}: {killed} processes, {[len(written.durable) for written in workspaces]} syncs")
        up.up(stack.layout)
        for written in workspaces:
            check(client, written, rng)
    print(stack.manage("workspaces_fsck"))
