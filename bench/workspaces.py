"""Saving and restoring files: first sync, one changed file among 20,000, 4 KiB in a large file, forks,
restores on a host that has nothing or only the parent, runs on a warm workspace; and restic (where it is
installed) on the same tree, after the same changes, in turns. As root, on the host: it makes the host forget
volumes.

    python -m bench.workspaces [--changes 15] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.common import ROOT, Figures, Server, figures, save
from hostagent.volumes.volume import Volume

VOLUMES = Path(os.environ.get("MAGS_BENCH_STATE", ROOT / "var/agent/fs")) / "volumes"
TREE_MB, LARGE_MB = 233, 1000

TREE = """
import os, random
rng = random.Random(1)
for directory in range(200):
    os.makedirs(f"/root/tree/{directory}")
    for file in range(100):
        with open(f"/root/tree/{directory}/{file}", "wb") as out:
            out.write(rng.randbytes(11_650))
"""  # 20,000 files, 233 MB
CHANGE = "head -c 11650 /dev/urandom > /root/tree/7/{number}"
LARGE = "head -c 1000000000 /dev/urandom > /root/large"
WRITE = "dd if=/dev/urandom of=/root/large bs=4096 count=1 seek={number}000 conv=notrunc status=none"


class Workspace:
    """A persistent workspace and its living sandbox."""

    def __init__(self, server: Server, name: str = "") -> None:
        self.server = server
        self.name = name or f"bench-{uuid4().hex[:8]}"
        self.job = ""

    def run(self, script: str) -> float:
        """Run a script in it; ms from the submit until its end was seen."""
        begun = time.perf_counter()
        self.job = self.server.submit(script, workspace_id=self.name, persistent=True, disk_gb=4)
        job = self.server.finish(self.job)
        if job["exit_code"] != 0:
            raise RuntimeError(f"{script[:40]!r} ended as {job['status']} {job['reason']} {job['exit_code']}")
        return (time.perf_counter() - begun) * 1000

    def sync(self) -> tuple[float, dict[str, Any]]:
        begun = time.perf_counter()
        answer = self.server.http.post(f"/mags-jobs/{self.job}/sync")
        answer.raise_for_status()
        return (time.perf_counter() - begun) * 1000, answer.json()

    def fork(self) -> tuple[float, Workspace]:
        fork = Workspace(self.server, f"{self.name}-{uuid4().hex[:6]}")
        begun = time.perf_counter()
        answer = self.server.http.post(f"/mags-workspaces/{self.name}/fork", json={"name": fork.name})
        answer.raise_for_status()
        return (time.perf_counter() - begun) * 1000, fork

    def restored_ms(self) -> float:
        """How long its host, which knows as little of it as now, takes to have its files and run `true`."""
        took_ms = self.run("true")
        self.stop()
        return took_ms

    def volume(self) -> Path:
        answer = self.server.http.get(f"/mags-workspaces/{self.name}").raise_for_status()
        (found,) = VOLUMES.glob(f"*/{answer.json()['id']}")
        return found

    def forget(self) -> None:
        """As on another host: nothing of it is here. Not while it is in use."""
        Volume(self.volume()).delete()

    def stop(self) -> None:
        self.server.http.post(f"/mags-jobs/{self.job}/stop").raise_for_status()
        self._until(lambda: self.server.http.get(f"/mags-jobs/{self.job}").json()["sandbox"] == "none")

    def remove(self) -> None:
        if self.job:
            self.server.http.post(f"/mags-jobs/{self.job}/stop").raise_for_status()
        path = f"/mags-workspaces/{self.name}"
        self._until(lambda: self.server.http.delete(path).status_code != 409)

    def _until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} is still in use")
            time.sleep(0.2)


class Restic:
    """Backs up the very files that the sandbox changes, into a repository on the local disk."""

    def __init__(self, tree: Path, directory: Path) -> None:
        self._tree = tree
        self._environment = {
            "RESTIC_REPOSITORY": str(directory / "repository"),
            "RESTIC_CACHE_DIR": str(directory / "cache"),
            "RESTIC_PASSWORD": "bench",
            "PATH": os.environ["PATH"],
        }
        self._call("init")

    def backup_ms(self) -> float:
        begun = time.perf_counter()
        self._call("backup", str(self._tree))
        return (time.perf_counter() - begun) * 1000

    def restore_ms(self) -> float:
        with tempfile.TemporaryDirectory(prefix="mags-bench-", dir="/var/tmp") as directory:
            begun = time.perf_counter()
            self._call("restore", "latest", "--target", directory)
            os.sync()  # as what a volume is restored to is on the disk
            return (time.perf_counter() - begun) * 1000

    def _call(self, *arguments: str) -> None:
        command = ["restic", "--quiet", *arguments]
        subprocess.run(command, env=self._environment, check=True, capture_output=True)


@contextmanager
def restic_rival(tree: Path) -> Iterator[Restic | None]:
    if not shutil.which("restic"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mags-bench-", dir="/var/tmp") as directory:
        yield Restic(tree, Path(directory))


class Bench:
    """Series by name, in the order of their beginnings, of a workspace with the tree and the large file."""

    def __init__(self, changes: int, rounds: int) -> None:
        self.changes = changes
        self.rounds = rounds
        self.series: dict[str, list[float]] = {}
        self.notes: dict[str, object] = {}
        self.server = Server()
        self.workspace = Workspace(self.server)

    def measure(self) -> tuple[list[Figures], dict[str, object]]:
        for _ in range(self.rounds - 1):
            other = Workspace(self.server)
            self._first_sync(other)
            other.remove()
        self._first_sync(self.workspace)
        with restic_rival(self.workspace.volume() / "live/upper/root") as rival:
            self._small_changes(rival)
        self._forks()
        self._restores("233 MB", TREE_MB)
        self._parent_present()
        self._large_file()
        self._restores("1.2 GB", TREE_MB + LARGE_MB)
        self.workspace.remove()
        self._compare()
        return [figures(name, samples) for name, samples in self.series.items()], self.notes

    def _note(self, name: str, took_ms: float) -> None:
        self.series.setdefault(name, []).append(took_ms)

    def _first_sync(self, workspace: Workspace) -> None:
        workspace.run(f"python3 - <<'END'\n{TREE}END")
        took_ms, receipt = workspace.sync()
        self._note("first sync, 20,000 files, 233 MB", took_ms)
        self.notes["first sync, stored bytes"] = receipt["bytes"]

    def _small_changes(self, rival: Restic | None) -> None:
        if rival:
            self._note("restic: first", rival.backup_ms())
        for number in range(self.changes):
            warm_ms = self.workspace.run(CHANGE.format(number=number))
            self._note("sync of one changed file", self.workspace.sync()[0])
            self._note("run on the warm workspace", warm_ms)
            begun = time.perf_counter()
            self.server.finish(self.server.submit("head -c 11650 /dev/urandom > /root/one"))
            self._note("ephemeral run", (time.perf_counter() - begun) * 1000)
            if rival:
                self._note("restic: one changed file", rival.backup_ms())
        for _ in range(self.rounds if rival else 0):
            assert rival is not None
            self._note("restic: restore of 233 MB", rival.restore_ms())

    def _forks(self) -> None:
        for _ in range(self.changes):
            took_ms, fork = self.workspace.fork()
            self._note("fork", took_ms)
            fork.remove()

    def _restores(self, size: str, megabytes: int) -> None:
        """All of the chain, from the bucket."""
        name = f"cold restore of {size}"
        self.workspace.stop()
        for _ in range(self.rounds):
            self.workspace.forget()
            self._note(name, self.workspace.restored_ms())
        speed = megabytes / statistics.median(self.series[name]) * 1000
        self.notes[f"{name}, p50"] = f"{speed:.0f} MB/s"

    def _parent_present(self) -> None:
        """A fork keeps the version here that the newest one builds on."""
        for number in range(self.rounds):
            fork = self.workspace.fork()[1]
            fork.restored_ms()
            self.workspace.run(CHANGE.format(number=number))
            self.workspace.sync()
            self.workspace.stop()
            self.workspace.forget()
            self._note("restore with the parent present", self.workspace.restored_ms())
            fork.remove()

    def _large_file(self) -> None:
        self.workspace.run(LARGE)
        self._note("sync of a new file of 1 GB", self.workspace.sync()[0])
        for number in range(self.changes):
            self.workspace.run(WRITE.format(number=number))
            self._note("sync of 4 KiB in it", self.workspace.sync()[0])

    def _compare(self) -> None:
        p50 = {name: statistics.median(samples) for name, samples in self.series.items()}
        over_ms = p50["run on the warm workspace"] - p50["ephemeral run"]
        self.notes["warm run - ephemeral run (p50)"] = f"{over_ms:.1f} ms"
        if "restic: first" in p50:
            ratio = p50["restic: one changed file"] / p50["sync of one changed file"]
            self.notes["restic / sync of one changed file (p50)"] = round(ratio, 1)
        else:
            self.notes["restic"] = "not measured: it is not installed (apt-get install restic)"
        self.notes["load average"] = " ".join(f"{load:.1f}" for load in os.getloadavg())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    found = parser.parse_args()
    save("workspaces", *Bench(found.changes, found.rounds).measure())
