"""A run's own control group, inside its sandbox's: it is killed by that, and memory kills are counted there.

Nothing in a sandbox can leave it: no control group is mounted there, and none can be.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hostagent.drivers.host import SHIM, Host
from hostagent.drivers.shim import RunPlace
from hostagent.linux import cgroup, process


@dataclass(frozen=True, slots=True)
class RunGroup:
    host: Host
    sandbox_id: str
    run_id: str

    @property
    def name(self) -> str:
        return f"{self.host.group(self.sandbox_id)}/{self.run_id}"

    @property
    def shim(self) -> str:
        """Of its conmon, which must not be killed or frozen with it."""
        return self.host.group(f"{SHIM}{self.sandbox_id}.{self.run_id}")

    @property
    def _runtime_root(self) -> Path:
        return self.host.run_dir / "runs" / f"{self.sandbox_id}.{self.run_id}"

    def make(self) -> RunPlace:
        cgroup.make_inside(self.host.groups, self.name)
        self.host.groups.path("cpu", self.shim).mkdir(exist_ok=True)
        if self.host.engine.is_crun and not self.host.groups.is_v2:
            return RunPlace(self._copy_state(), ())
        return RunPlace(self.host.engine.runtime_root, (f"--cgroup={self.run_id}",))

    def _copy_state(self) -> Path:
        """crun's state of the container, with the run's group as the container's. Told so by --cgroup, on
        version 1, crun 1.8.1 enters no group at all: the run would have no limits."""
        source = self.host.engine.runtime_root / self.sandbox_id
        target = self._runtime_root / self.sandbox_id
        target.mkdir(mode=0o700, parents=True)
        for path in source.iterdir():
            if path.name not in ("status", "exec.fifo"):
                os.link(path, target / path.name)
        status = json.loads((source / "status").read_text())
        (target / "status").write_text(json.dumps({**status, "cgroup-path": f"/{self.name}"}))
        return self._runtime_root

    def holds(self, pid: int) -> bool:
        """Whether the process is where it should be, or at its end."""
        return cgroup.of_process(self.host.groups, pid) == self.name or process.is_ending(pid)

    def oom_kills(self) -> int:
        """So far. Version 2 counts for the whole sandbox, version 1 for each group."""
        name = self.host.group(self.sandbox_id) if self.host.groups.is_v2 else self.name
        return cgroup.oom_kills(self.host.groups, name)

    def remove(self) -> None:
        """All of it, but for the group itself where a process lives on in it."""
        cgroup.remove(self.host.groups, self.shim)
        if not cgroup.pids(self.host.groups, self.name):
            cgroup.remove(self.host.groups, self.name)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._runtime_root)
