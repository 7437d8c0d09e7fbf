"""Saving files: first sync, one changed file among 20,000, 4 KiB in a large file, forks, runs on a warm
workspace; and restic (where Debian's is installed) on the same tree, after the same changes, in turns.

    python -m bench.workspaces [--changes 15]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.common import ROOT, Figures, Server, figures, save

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

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = f"bench-{uuid4().hex[:8]}"
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

    def fork(self) -> float:
        name = f"{self.name}-{uuid4().hex[:6]}"
        begun = time.perf_counter()
        self.server.http.post(f"/mags-workspaces/{self.name}/fork", json={"name": name}).raise_for_status()
        took = (time.perf_counter() - begun) * 1000
        self.server.http.delete(f"/mags-workspaces/{name}").raise_for_status()
        return took

    def remove(self) -> None:
        self.server.http.post(f"/mags-jobs/{self.job}/stop").raise_for_status()
        deadline = time.monotonic() + 60
        while self.server.http.delete(f"/mags-workspaces/{self.name}").status_code == 409:
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


def tree_on_the_host(server: Server, name: str) -> Path:
    workspace = server.http.get(f"/mags-workspaces/{name}").raise_for_status().json()
    (found,) = (ROOT / "var/agent/fs/volumes").glob(f"*/{workspace['id']}/live/upper/root")
    return found


def measure(changes: int) -> tuple[list[Figures], dict[str, object]]:
    server = Server()
    workspace = Workspace(server)
    ephemeral, warm, one_file, one_page, restic = ([] for _ in range(5))
    notes: dict[str, object] = {}
    workspace.run(f"python3 - <<'END'\n{TREE}END")
    first_ms, receipt = workspace.sync()
    with restic_rival(tree_on_the_host(server, workspace.name)) as rival:
        restic_first_ms = rival.backup_ms() if rival else None
        for number in range(changes):
            warm.append(workspace.run(CHANGE.format(number=number)))
            begun = time.perf_counter()
            server.finish(server.submit("head -c 11650 /dev/urandom > /root/one"))
            ephemeral.append((time.perf_counter() - begun) * 1000)
            one_file.append(workspace.sync()[0])
            if rival:
                restic.append(rival.backup_ms())
    forks = [workspace.fork() for _ in range(changes)]
    workspace.run(LARGE)
    large_ms, _ = workspace.sync()
    for number in range(changes):
        workspace.run(WRITE.format(number=number))
        one_page.append(workspace.sync()[0])
    workspace.remove()
    series = [
        figures("first sync, 20,000 files, 233 MB", [first_ms]),
        figures("sync of one changed file", one_file),
        figures("sync of a new file of 1 GB", [large_ms]),
        figures("sync of 4 KiB in it", one_page),
        figures("fork", forks),
        figures("run on the warm workspace", warm),
        figures("ephemeral run", ephemeral),
    ]
    notes["first sync, stored bytes"] = receipt["bytes"]
    notes["warm run - ephemeral run (p50)"] = f"{series[5].p50_ms - series[6].p50_ms:.1f} ms"
    if restic_first_ms is not None:
        series += [figures("restic: first", [restic_first_ms]), figures("restic: one changed file", restic)]
        notes["restic / sync of one changed file (p50)"] = round(series[-1].p50_ms / series[1].p50_ms, 1)
    else:
        notes["restic"] = "not measured: it is not installed (apt-get install restic)"
    return series, notes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=15)
    save("workspaces", *measure(parser.parse_args().changes))
