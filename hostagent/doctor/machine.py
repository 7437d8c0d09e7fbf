"""The kernel and the hardware: what no package brings."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hostagent.config import Config
from hostagent.doctor.finding import Finding, missing, note, ok
from hostagent.doctor.probe import probe_root
from hostagent.linux import btrfs, cgroup, sysctl

KERNEL_MIN = (5, 19)  # overlayfs on idmapped layers
DISK_MIN_GIB, DISK_GOOD_GIB = 4, 15  # an image is built in 2; sandboxes write the rest
MEMORY_MIN_MIB, MEMORY_GOOD_MIB = 700, 2000
INOTIFY_INSTANCES_MIN = 64
TIME_ERROR = 5  # adjtimex: the clock is not synchronised
TIMEX_BYTES = 512  # more than any struct timex
GIB = 1 << 30


def check_machine(config: Config) -> Iterator[Finding]:
    yield _root()
    yield _kernel()
    yield _user_namespaces()
    yield probe_root(_existing(config.state_dir))
    yield _btrfs(config)
    yield _seccomp()
    yield _cgroups()
    yield _disk(config)
    yield _memory()
    yield _inotify()
    yield _clock()


def _root() -> Finding:
    if os.geteuid() == 0:
        return ok("root")
    return missing("root", f"runs as user {os.geteuid()}", "run it as root (the servers do not keep that)")


def _kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= KERNEL_MIN:
        return ok("kernel", release)
    wanted = ".".join(map(str, KERNEL_MIN))
    return missing(
        "kernel", release, f"Linux {wanted} or newer: apt-get install linux-image-amd64, then reboot"
    )


def _user_namespaces() -> Finding:
    limit = Path("/proc/sys/user/max_user_namespaces")
    remedy = "sysctl user.max_user_namespaces=65536 (a container must be allowed to make them)"
    if not limit.exists() or limit.read_text().strip() == "0":
        return missing("user namespaces", "switched off", remedy)
    return ok("user namespaces", f"at most {limit.read_text().strip()}")


def _btrfs(config: Config) -> Finding:
    directory = _existing(config.state_dir)
    if btrfs.is_btrfs(directory):
        return ok("btrfs", f"{directory} lies on it")
    remedy = "a kernel with btrfs and loop devices (Debian's has both): modprobe btrfs; modprobe loop"
    if not _has_filesystem("btrfs"):
        return missing("btrfs", "the kernel has none", remedy)
    if not Path("/dev/loop-control").exists() and not _can_load("loop"):
        return missing("btrfs", "no loop devices", remedy)
    return ok("btrfs", f"in a sparse file of {config.state_image_gb} GB below {config.state_dir}")


def _has_filesystem(name: str) -> bool:
    return name in Path("/proc/filesystems").read_text().split() or _can_load(name)


def _can_load(module: str) -> bool:
    if shutil.which("modprobe") is None:
        return False
    return subprocess.run(["modprobe", "--dry-run", "--quiet", module], check=False).returncode == 0


def _seccomp() -> Finding:
    key = "kernel/seccomp/actions_avail"
    if sysctl.exists(key) and {"errno", "kill_process"} <= set(sysctl.read(key).split()):
        return ok("seccomp")
    return missing("seccomp", "the kernel cannot filter system calls", "a kernel with CONFIG_SECCOMP_FILTER")


def _cgroups() -> Finding:
    remedy = "boot with systemd.unified_cgroup_hierarchy=1, or give this container its cgroups"
    try:
        groups = cgroup.detect()
    except OSError as error:
        return missing("cgroups", error.strerror or str(error), remedy)
    if not groups.is_v2:
        return ok("cgroups", "version 1" + (" (hybrid)" if groups.unified else ""))
    available = set((groups.roots[""] / "cgroup.controllers").read_text().split())
    if lacking := {"cpu", "memory", "pids"} - available:
        return missing("cgroups", f"version 2 without {', '.join(sorted(lacking))}", remedy)
    return ok("cgroups", "version 2")


def _disk(config: Config) -> Finding:
    directory = _existing(config.state_dir)
    free = shutil.disk_usage(directory).free / GIB
    found = f"{free:.0f} GiB free in {directory}"
    remedy = f"free some, or set MAGS_AGENT_STATE_DIR to a disk with {DISK_GOOD_GIB} GiB"
    if free < DISK_MIN_GIB:
        return missing("disk", found, remedy)
    return ok("disk", found) if free >= DISK_GOOD_GIB else note("disk", found, remedy)


def _memory() -> Finding:
    lines = Path("/proc/meminfo").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines}
    available = values["MemAvailable"]
    found = f"{available} MiB available of {values['MemTotal']}"
    remedy = f"{MEMORY_GOOD_MIB} MiB for the servers and a few sandboxes"
    if available < MEMORY_MIN_MIB:
        return missing("memory", found, remedy)
    return ok("memory", found) if available >= MEMORY_GOOD_MIB else note("memory", found, remedy)


def _inotify() -> Finding:
    key = "fs/inotify/max_user_instances"
    if not sysctl.exists(key):
        return missing("inotify", "the kernel has none", "a kernel with CONFIG_INOTIFY_USER")
    limit = int(sysctl.read(key))
    if limit < INOTIFY_INSTANCES_MIN:
        return note("inotify", f"{limit} instances", "sysctl fs.inotify.max_user_instances=512")
    return ok("inotify", f"{limit} instances")


def _clock() -> Finding:
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    if state == TIME_ERROR:
        remedy = "apt-get install systemd-timesyncd (or chrony): times in logs come from this machine"
        return note("clock", "not synchronised, as far as the kernel knows", remedy)
    return ok("clock")


def _existing(path: Path) -> Path:
    """The path or the nearest directory above it that is there."""
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path
