"""Control groups, version 2 and the hybrid of version 1 controllers with an empty unified tree.

A group is named by its path below the root of every hierarchy, e.g. `mags/k3v9x0a1b2c3d4e5`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from hostagent.linux import mount

CPU_PERIOD_US = 100_000
KILL_TIMEOUT_S = 10.0
REMOVE_TIMEOUT_S = 5.0
FREEZE_TIMEOUT_S = 5.0
SANDBOX_CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "freezer", "devices")
ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where this machine's hierarchies are mounted."""

    is_v2: bool
    roots: dict[str, Path]  # v1: controller -> mount point; v2: "" -> mount point
    unified: Path | None = None  # version 2's mount, which has no controllers on hybrid hosts

    def hierarchies(self) -> list[Path]:
        extra = [] if self.unified is None else [self.unified]
        return sorted({*self.roots.values(), *extra})

    def sandbox_hierarchies(self) -> list[Path]:
        """Those of version 1 in which sandboxes have groups: each costs 0.3 ms to enter."""
        return sorted({self.roots[name] for name in SANDBOX_CONTROLLERS if name in self.roots})

    def paths(self, name: str) -> list[Path]:
        """The group's directory in every hierarchy, existing or not."""
        return [root / name for root in self.hierarchies()]

    def path(self, controller: str, name: str) -> Path:
        return self.roots["" if self.is_v2 else controller] / name


def detect(mountinfo: Path = Path("/proc/self/mountinfo")) -> Cgroups:
    """Read the mount table. Raises OSError where memory, cpu or pids cannot be limited."""
    roots: dict[str, Path] = {}
    unified: Path | None = None
    for line in mountinfo.read_text().splitlines():
        left, _, right = line.partition(" - ")
        mount_point = Path(left.split()[4])
        fstype, _source, options = right.split(" ", 2)
        if fstype == "cgroup2":
            unified = mount_point
        elif fstype == "cgroup":
            for option in options.split(","):
                roots[option] = mount_point
    if unified == ROOT:
        return Cgroups(is_v2=True, roots={"": unified}, unified=unified)
    wanted = {"cpu", "memory", "pids", "freezer"}
    if not wanted <= set(roots):
        raise OSError(errno.ENODEV, f"no cgroup hierarchy for {', '.join(sorted(wanted - set(roots)))}")
    keep = {k: v for k, v in roots.items() if k not in ("rw", "ro", "xattr", "clone_children")}
    return Cgroups(is_v2=False, roots=keep, unified=unified)


def favor_moves(unified: Path, *, is_favored: bool) -> None:
    """Move processes between groups in 0.2 ms instead of 8 to 15, on the whole machine (version 1 too).

    Otherwise each move after a pause waits for a grace period of all CPUs, and every sandbox needs two. With
    it, fork and exit take a little longer: a trade-off that the kernel offers as a mount option (6.0 on)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[4] == str(unified):
            options = set(right.split(" ", 2)[2].split(","))
    wanted = "favordynmods"
    if (wanted in options) == is_favored:
        return
    fd = mount.fspick(unified)
    try:
        # What is not named again is switched off, e.g. systemd's nsdelegate.
        for option in options - {"rw", "ro", wanted}:
            mount.fsconfig_flag(fd, option)
        if is_favored:
            mount.fsconfig_flag(fd, wanted)
        mount.fsconfig_reconfigure(fd)
    finally:
        os.close(fd)


def make(groups: Cgroups, name: str) -> None:
    """Create a group in every hierarchy, ready to hold processes or further groups."""
    if groups.is_v2:
        parent = groups.roots[""]
        for part in Path(name).parts:
            (parent / "cgroup.subtree_control").write_text("+cpu +memory +pids")
            parent /= part
            parent.mkdir(exist_ok=True)
        return
    for path in groups.paths(name):
        path.mkdir(parents=True, exist_ok=True)
    if "cpuset" in groups.roots:
        _fill_cpuset(groups.roots["cpuset"], name)


def make_inside(groups: Cgroups, name: str) -> None:
    """Create a group inside one that holds processes. It passes on no controller in version 2, which allows
    that for such groups only; the limits of the outer one hold for both."""
    for path in groups.paths(name):
        if path.parent.is_dir():
            path.mkdir(exist_ok=True)
    if not groups.is_v2 and "cpuset" in groups.roots and groups.path("cpuset", name).is_dir():
        _fill_cpuset(groups.roots["cpuset"], name)


def of_process(groups: Cgroups, pid: int) -> str | None:
    """The group in which a process can be killed. None where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if ("" if groups.is_v2 else "freezer") in controllers.split(","):
            return path.lstrip("/")
    return None


def freeze(groups: Cgroups, name: str, timeout_s: float = FREEZE_TIMEOUT_S) -> None:
    """Stop everything in the group and below it; return when all has stopped."""
    deadline = time.monotonic() + timeout_s
    _set_frozen(groups, name, is_frozen=True)
    while not _has_stopped(groups, name):
        if time.monotonic() > deadline:
            _set_frozen(groups, name, is_frozen=False)
            raise TimeoutError(errno.ETIMEDOUT, f"cgroup {name} does not freeze")
        time.sleep(0.001)


def thaw(groups: Cgroups, name: str) -> None:
    _set_frozen(groups, name, is_frozen=False)


def is_frozen(groups: Cgroups, name: str) -> bool:
    """Whether that was asked for. No where there is no such group."""
    file, words = ("cgroup.freeze", {"1"}) if groups.is_v2 else ("freezer.state", {"FROZEN", "FREEZING"})
    try:
        return (groups.path("freezer", name) / file).read_text().strip() in words
    except FileNotFoundError:
        return False


def _set_frozen(groups: Cgroups, name: str, *, is_frozen: bool) -> None:
    if groups.is_v2:
        (groups.path("freezer", name) / "cgroup.freeze").write_text("1" if is_frozen else "0")
    else:
        (groups.path("freezer", name) / "freezer.state").write_text("FROZEN" if is_frozen else "THAWED")


def _has_stopped(groups: Cgroups, name: str) -> bool:
    directory = groups.path("freezer", name)
    if groups.is_v2:
        return "frozen 1" in (directory / "cgroup.events").read_text().splitlines()
    return (directory / "freezer.state").read_text().strip() == "FROZEN"


def _fill_cpuset(root: Path, name: str) -> None:
    """A new v1 cpuset is empty and admits no process."""
    parent = root
    for part in Path(name).parts:
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not (parent / part / file).read_text().strip():
                (parent / part / file).write_text((parent / file).read_text())
        parent /= part


def remove(groups: Cgroups, name: str) -> None:
    """Remove a group and the groups below it, everywhere. Their processes are dead; gone already is fine."""
    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    for path in groups.paths(name):
        try:
            path.rmdir()  # nearly always all there is to do
        except FileNotFoundError:
            continue
        except OSError:
            for directory, _names, _files in os.walk(path, topdown=False):
                _rmdir(Path(directory), deadline)


def _rmdir(path: Path, deadline: float) -> None:
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.002)  # a killed process leaves its groups a moment after its end was told
        else:
            return


def children(groups: Cgroups, name: str) -> set[str]:
    """Names of the groups directly below, in any hierarchy."""
    found: set[str] = set()
    for path in groups.paths(name):
        with contextlib.suppress(FileNotFoundError):
            found |= {entry.name for entry in path.iterdir() if entry.is_dir()}
    return found


def pids(groups: Cgroups, name: str, controller: str = "freezer") -> set[int]:
    """Processes in the group and below it."""
    found: set[int] = set()
    for directory, _names, _files in os.walk(groups.path(controller, name), onerror=_raise_unless_gone):
        try:
            found |= {int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split()}
        except OSError as error:
            _raise_unless_gone(error)
    return found


def _raise_unless_gone(error: OSError) -> None:
    """An unreadable group must not look like an empty one: its sandbox would be taken for dead."""
    if error.errno not in (errno.ENOENT, errno.ENODEV):
        raise error


def has_swap_limit(groups: Cgroups, name: str) -> bool:
    """Whether the kernel counts swap; `name` is any group but a root."""
    file = "memory.swap.max" if groups.is_v2 else "memory.memsw.limit_in_bytes"
    return (groups.path("memory", name) / file).exists()


def limit_cpu(groups: Cgroups, name: str, percent: int) -> None:
    """At most `percent` of one CPU."""
    quota_us = CPU_PERIOD_US * percent // 100
    if groups.is_v2:
        (groups.path("cpu", name) / "cpu.max").write_text(f"{quota_us} {CPU_PERIOD_US}")
    else:
        (groups.path("cpu", name) / "cpu.cfs_quota_us").write_text(str(quota_us))


def cpu_ms(groups: Cgroups, name: str) -> int:
    """What the group has used so far, with all below it."""
    if groups.is_v2:
        lines = (groups.path("cpu", name) / "cpu.stat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("usage_usec ")) // 1000
    return int((groups.path("cpuacct", name) / "cpuacct.usage").read_text()) // 1_000_000


def oom_kills(groups: Cgroups, name: str) -> int:
    """How many processes of the group the kernel killed for memory."""
    file = "memory.events" if groups.is_v2 else "memory.oom_control"
    try:
        lines = (groups.path("memory", name) / file).read_text().splitlines()
    except FileNotFoundError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def kill(groups: Cgroups, name: str, controller: str = "freezer", timeout_s: float = KILL_TIMEOUT_S) -> None:
    """SIGKILL everything in the group and return when it is empty. Other controllers: where nothing forks."""
    deadline = time.monotonic() + timeout_s
    while pids(groups, name, controller):
        with contextlib.ExitStack() as stack:
            if groups.is_v2:
                fds = _pidfds(pids(groups, name), stack)
                (groups.path("", name) / "cgroup.kill").write_text("1")
            elif controller == "freezer":
                fds = _kill_frozen(groups, name, stack)
            else:
                fds = _pidfds(pids(groups, name, controller), stack)
                _kill_each(fds)
            _await_exit(fds, deadline)
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, f"cgroup {name} still holds processes after SIGKILL")


def _kill_frozen(groups: Cgroups, name: str, stack: contextlib.ExitStack) -> list[int]:
    """Frozen while the list is read and worked off: nothing forks, and no number is used again."""
    _set_frozen(groups, name, is_frozen=True)
    try:
        fds = _pidfds(pids(groups, name), stack)
        _kill_each(fds)
    finally:
        _set_frozen(groups, name, is_frozen=False)
    return fds


def _kill_each(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)


def _pidfds(found: set[int], stack: contextlib.ExitStack) -> list[int]:
    fds = []
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            stack.callback(os.close, fd)
            fds.append(fd)
    return fds


def _await_exit(fds: list[int], deadline: float) -> None:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    left = len(fds)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for fd, _event in poll.poll(remaining * 1000):
            poll.unregister(fd)
            left -= 1
