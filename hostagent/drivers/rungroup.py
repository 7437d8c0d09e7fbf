"""A run's own control group, inside its sandbox's: it is killed by that, and memory kills are counted there.

Nothing in a sandbox can leave it: no control group is mounted there, and none can be.
"""

from __future__ import annotations

from dataclasses import dataclass

from hostagent.drivers.host import SHIM, Host
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

    def make(self) -> None:
        """Before the runtime is told of it: crun 1.8.1 enters no group at all where it does not find it."""
        cgroup.make_inside(self.host.groups, self.name)
        self.host.groups.path("cpu", self.shim).mkdir(exist_ok=True)

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
