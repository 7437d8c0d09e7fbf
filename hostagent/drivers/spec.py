"""A sandbox's config.json for the OCI runtime. The user's text is data in it and nothing else."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostagent.config import Config
from hostagent.drivers import seccomp
from hostagent.drivers.base import ExecSpec, RunSpec, SandboxSpec
from hostagent.errors import DriverError

IDS_PER_SANDBOX = 65_536
CPU_PERIOD_US = 100_000
MIB = 1024 * 1024
RUN_MIB = 64  # /run; like /dev/shm it is counted as the sandbox's memory
SOFT_OPEN_FILES, OPEN_FILES = 1024, 65_536
OOM_SCORE_ADJ = 500  # the kernel ends a sandbox before anything of the host

SCRIPT = "/run/mags/script"
RUNS = "/run/mags/runs"  # a held sandbox's: the scripts of its runs
HOLD = f"{RUNS}/hold"  # a pipe that nobody can write to
UPLOADS = "/uploads"
HOME = "/root"
INIT = "/run/mags/init"
# A terminal gets its size, and so its init a signal, while the child may not be there yet; the init would say
# so in the terminal. What keeps it from that is not the command's.
WITHOUT_VERBOSITY = 'unset TINI_VERBOSITY; exec "$@"'
CA = "/run/mags/ca.crt"
APT = "/run/mags/apt.conf"
APT_CONF = f'Acquire::https::CAInfo "{CA}";\n'

# A shell drops newlines at the end of what it substitutes, hence the x.
COMMAND_FILE = 'command=$(cat "$0" && printf x) && exec /bin/sh -lc "${command%x}"'

# Waits without a process that runs, in any image with a shell: to open a pipe for reading takes a writer.
HOLDER = ["/bin/sh", "-c", f": < {HOLD}"]

CAPABILITIES = [
    f"CAP_{name}"
    for name in (  # noqa: SIM905 - readable
        "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETUID SETGID SETPCAP NET_BIND_SERVICE SYS_CHROOT"
        " AUDIT_WRITE SETFCAP"
    ).split()
]

# What names the host's devices, keys, modules and memory layout. Files that only the host's root may open are
# closed by the user namespace already; the most telling of them are here all the same.
MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/diskstats",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/partitions",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/proc/pressure"]

ENVIRONMENT = {
    "HOME": HOME,
    "USER": "root",
    "LOGNAME": "root",
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sandbox's parts are on the host."""

    root: Path  # its mounted root file system
    bundle: Path  # holds the files that are bind mounted
    netns_path: str
    cgroup: str  # absolute below the root of every hierarchy, e.g. /mags/k3v9x0a1b2c3d4e5
    id_base: int
    shell: str  # runs scripts without a #! line
    annotations: Mapping[str, str]
    has_swap_limit: bool


def config_json(config: Config, spec: SandboxSpec, place: Place) -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "annotations": dict(place.annotations),
        "hostname": spec.sandbox_id,
        "root": {"path": str(place.root)},
        "process": _process(config, spec, place),
        "mounts": _mounts(config, spec, place),
        "linux": _linux(config, spec, place),
    }


def _process(config: Config, spec: SandboxSpec, place: Place) -> dict[str, Any]:
    arguments = HOLDER if spec.is_held else command(spec.script, place.shell, SCRIPT)
    return {
        **process([INIT, "-g", "--", *arguments], environment(config, spec.environment)),
        "oomScoreAdj": OOM_SCORE_ADJ,
    }


def run_process(config: Config, spec: RunSpec, shell: str, directory: str) -> dict[str, Any]:
    """The process of a run. Its init is not pid 1: it adopts (-s) what the script leaves while it runs."""
    arguments = command(spec.script, shell, f"{RUNS}/{spec.run_id}")
    variables = environment(config, spec.environment)
    return {**process([INIT, "-s", "-g", "--", *arguments], variables), "cwd": directory}


def exec_process(config: Config, spec: ExecSpec, directory: str) -> dict[str, Any]:
    """The process of a command in a sandbox. The command is one argument; JSON cannot hold bytes that are no
    text, so those are read from a file inside."""
    try:
        arguments = ["/bin/sh", "-lc", spec.script.decode()]
    except UnicodeDecodeError:
        arguments = ["/bin/sh", "-c", COMMAND_FILE, f"{RUNS}/{spec.run_id}"]
    variables = environment(config, spec.environment)
    if spec.terminal is not None:
        arguments = ["/bin/sh", "-c", WITHOUT_VERBOSITY, "sh", *arguments]
        variables = [*variables, "TINI_VERBOSITY=0"]
    values = {**process([INIT, "-s", "-g", "--", *arguments], variables), "cwd": spec.directory or directory}
    if spec.terminal is not None:
        size = {"height": spec.terminal.rows, "width": spec.terminal.columns}
        values |= {"terminal": True, "consoleSize": size}
    return values


def process(arguments: list[str], variables: list[str]) -> dict[str, Any]:
    """`process` of config.json, or of what a runtime's `exec` is given."""
    return {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "cwd": HOME,
        "args": arguments,
        "env": variables,
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        "noNewPrivileges": True,
        "rlimits": [
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NOFILE", "soft": SOFT_OPEN_FILES, "hard": _open_files()},
        ],
    }


def _open_files() -> int:
    """No more than the agent itself may have: without CAP_SYS_RESOURCE a limit cannot be raised."""
    return min(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def hosts(name: str, address4: str, address6: str) -> str:
    """/etc/hosts inside."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{a} {name}" for a in (address4, address6) if a)])


def command(script: bytes, shell: str, path: str) -> list[str]:
    """A script that names its interpreter is run as it is, any other by a login shell."""
    return [path] if script.startswith(b"#!") else [shell, "-l", path]


def shell(lower: Path) -> str:
    """What runs scripts without a #! line over this image."""
    has_bash = any(_has(lower, path) for path in ("bin/bash", "usr/bin/bash"))
    return "/bin/bash" if has_bash else "/bin/sh"


def _has(lower: Path, path: str) -> bool:
    """Whether the image has it there itself: a directory that is a link would lead to this machine's own."""
    directories = [lower / parent for parent in Path(path).parents]
    return not any(map(os.path.islink, directories)) and os.path.lexists(lower / path)


def environment(config: Config, variables: Mapping[str, str]) -> list[str]:
    """`KEY=value` strings; the user's win."""
    values = dict(ENVIRONMENT)
    if config.ca_bundle:
        values |= {"APT_CONFIG": APT, **dict.fromkeys(CA_VARIABLES, CA)}
    for name, value in variables.items():
        _check_variable(name, value)
        values[name] = value
    return [f"{name}={value}" for name, value in values.items()]


def _check_variable(name: str, value: str) -> None:
    try:
        text = f"{name}{value}".encode()
    except UnicodeEncodeError as error:
        raise DriverError(
            "an environment variable is not valid Unicode", "submit the job without it"
        ) from error
    if not name or "=" in name or b"\0" in text:
        raise DriverError(
            f"environment variable {name[:64]!r}: no process can have one with this name or value",
            "names must not be empty or hold '='; neither names nor values may hold NUL",
        )


def _mounts(config: Config, spec: SandboxSpec, place: Place) -> list[dict[str, Any]]:
    def tmpfs(target: str, *options: str) -> dict[str, Any]:
        return {
            "destination": target,
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "nodev", *options],
        }

    def file(source: Path | str, target: str, *options: str) -> dict[str, Any]:
        flags = ["bind", "ro", "nosuid", "nodev", *options]
        return {"destination": target, "type": "bind", "source": str(source), "options": flags}

    shared_mib = max(spec.memory_mb // 2, 1)
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        tmpfs("/dev", "noexec", "mode=755", "size=65536"),
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        tmpfs("/dev/shm", "noexec", "mode=1777", f"size={shared_mib}m"),  # noqa: S108 - inside the sandbox
        {
            "destination": "/dev/mqueue",
            "type": "mqueue",
            "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"],
        },
        # The kernel refuses a sysfs, where the network is of another user namespace. Just as well.
        tmpfs("/sys", "noexec", "ro", "mode=555", "size=4096"),
        tmpfs("/run", "mode=755", f"size={RUN_MIB}m"),
        file(config.init, INIT),
        file(place.bundle / "resolv.conf", "/etc/resolv.conf", "noexec"),
        file(place.bundle / "hosts", "/etc/hosts", "noexec"),
    ]
    mounts += (
        [file(place.bundle / "scripts", RUNS)] if spec.is_held else [file(place.bundle / "script", SCRIPT)]
    )
    if spec.uploads is not None:
        mounts += [file(spec.uploads, UPLOADS)]
    if config.ca_bundle:
        mounts += [file(config.ca_bundle, CA, "noexec"), file(place.bundle / "apt.conf", APT, "noexec")]
    return mounts


def _linux(config: Config, spec: SandboxSpec, place: Place) -> dict[str, Any]:
    ids = [{"containerID": 0, "hostID": place.id_base, "size": IDS_PER_SANDBOX}]
    namespaces: list[dict[str, Any]] = [
        {"type": kind} for kind in ("pid", "ipc", "uts", "mount", "user", "cgroup")
    ]
    return {
        "namespaces": [*namespaces, {"type": "network", "path": place.netns_path}],
        "uidMappings": ids,
        "gidMappings": ids,
        "cgroupsPath": place.cgroup,
        "resources": _resources(config, spec, has_swap_limit=place.has_swap_limit),
        "seccomp": seccomp.profile(),
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
    }


def _resources(config: Config, spec: SandboxSpec, *, has_swap_limit: bool) -> dict[str, Any]:
    limit = spec.memory_mb * MIB
    swap = {"swap": limit} if has_swap_limit else {}  # memory and swap together: no swap
    return {
        "memory": {"limit": limit, **swap},
        "cpu": {"quota": spec.vcpus * CPU_PERIOD_US, "period": CPU_PERIOD_US},
        "pids": {"limit": config.pids_limit},
        "devices": [
            {"allow": False, "access": "rwm"}
        ],  # the runtime adds null, zero, full, random, urandom, tty, ptmx
    }
