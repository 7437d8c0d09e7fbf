"""What a script leaves running may go on printing.

conmon reads a run's output up to the script's end; whoever wrote after that would get SIGPIPE. So the reading
ends of its pipes are opened a second time while it is there. Where something was left running, `cat` goes on
reading, and drops what comes.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from hostagent.drivers.host import SHIM, Host
from hostagent.linux import cgroup, process

CAT = "/bin/cat"
PIPES = 2  # stdout and stderr
APPEAR_S = 0.5  # from an open gate to conmon's pipes: some ms on a machine that is not too busy
LOOK_AGAIN_S = 0.001


class RunOutputs:
    """The pipes of runs under way, by the run's key. An agent that dies lets go of them: its successor opens
    them again, unless the script ended meanwhile."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ends: dict[str, list[int]] = {}

    def hold(self, key: str, shim_group: str) -> None:
        """Blocks for some ms. A script that is over before is not waited for."""
        if key in self._ends:
            return
        deadline = time.monotonic() + APPEAR_S
        while len(ends := self._reading_ends(shim_group)) < PIPES:
            for fd in ends:
                os.close(fd)
            if time.monotonic() > deadline or not cgroup.pids(self._host.groups, shim_group, "cpu"):
                return
            time.sleep(LOOK_AGAIN_S)
        self._ends[key] = ends

    def holds(self, key: str) -> bool:
        return key in self._ends

    def let_go(self, key: str) -> None:
        for fd in self._ends.pop(key, []):
            os.close(fd)

    async def drain(self, key: str, sandbox_id: str) -> None:
        """Go on reading for as long as somebody writes, or the sandbox is there. All of a sandbox's together
        get the CPU of one conmon, which slows down who writes too fast."""
        name, groups = self._host.group(f"{SHIM}{sandbox_id}.out"), self._host.groups
        group = groups.path("cpu", name)
        group.mkdir(exist_ok=True)
        cgroup.limit_cpu(groups, name, self._host.config.shim_cpu_percent)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            for fd in self._ends.get(key, []):
                await self._host.launch.spawn([CAT], [fd, null, null], cgroups=[group])
        finally:
            os.close(null)

    def _reading_ends(self, shim_group: str) -> list[int]:
        """Of conmon's; the runtime, which it starts, reads what is its own."""
        comm = f"{self._host.engine.conmon.name[:15]}\n"
        found: dict[str, Path] = {}  # by pipe: conmon forks, and then two have it
        for pid in cgroup.pids(self._host.groups, shim_group, "cpu"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                if (Path(f"/proc/{pid}") / "comm").read_text() == comm:
                    found |= process.pipes(pid, os.O_RDONLY)
        return [fd for path in found.values() if (fd := _opened(path)) is not None]


def _opened(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # it may have no writer by now
    except FileNotFoundError:
        return None
    os.set_blocking(fd, True)
    return fd
