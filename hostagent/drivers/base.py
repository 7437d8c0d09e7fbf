"""What the runner asks of a driver: make a sandbox, start it, end it, find it again.

A driver holds no policy. It keeps everything it needs under its state directory, by sandbox id, so
that a new agent finds what an old one made. Every call may be repeated.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A sandbox to make. Ids and names were checked by the caller; the rest is hostile."""

    sandbox_id: str  # ^[a-z0-9]{16}$, becomes the cgroup, the bundle directory and the container id
    tenant: str  # ^u[0-9]+$
    image: str
    script: bytes
    environment: Mapping[str, str] = field(default_factory=dict)
    vcpus: int = 2
    memory_mb: int = 1024
    disk_gb: int = 2  # of a writable layer of its own
    # The writable layer: a directory on the state file system with `upper/` and `work/` in it, e.g. a
    # workspace's volume. The driver neither limits nor removes it. None: one of its own that goes with it.
    upper: Path | None = None
    # Seen as /uploads, read-only; the caller's as well. To a sandbox all in it is somebody else's, so modes
    # must let others read.
    uploads: Path | None = None
    image_build: str = ""  # of the image: this very one; empty: the present one
    is_held: bool = False  # waits for ever, `script` or not: runs start in it


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A script to run in a held sandbox, beside whatever runs there already."""

    sandbox_id: str
    run_id: str  # ^[a-z0-9]{8,32}$
    script: bytes
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.sandbox_id}.{self.run_id}"


@dataclass(frozen=True, slots=True)
class Terminal:
    """The size of a window."""

    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class ExecSpec(RunSpec):
    """A command for the shell; `script` is that command, any bytes but NUL."""

    directory: str = ""  # where it starts; empty: as a run
    terminal: Terminal | None = None  # it has one, and with it one stream for all that it writes
    has_stdin: bool = False  # a pipe that stays open until `end_stdin`; otherwise there is nothing to read


class Phase(StrEnum):
    """Where a found sandbox or run is."""

    BUILDING = "building"  # something of it exists, it cannot be started: destroy it or create again
    CREATED = "created"  # it waits; its script has certainly not started
    RUNNING = "running"  # started; or start was asked for and its answer is unknown
    EXITED = "exited"  # the exit file is there


@dataclass(frozen=True, slots=True)
class Exit:
    """How a sandbox's first process, or a run's, ended; read from the exit file."""

    exit_code: int  # 0-255; 128 + n for signal n
    is_oom: bool  # the kernel killed for memory in its cgroup
    is_disk_full: bool  # its disk limit was reached when it ended
    at_ms: int  # Unix ms


@dataclass(frozen=True, slots=True)
class FoundRun:
    key: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class Found:
    sandbox_id: str
    phase: Phase
    is_held: bool = False
    is_frozen: bool = False
    runs: tuple[FoundRun, ...] = ()


class Life(Protocol):
    """A script from its start to its end, in a sandbox of its own or as a run in a held one. `key` is the
    sandbox's id or the run's key. All methods are idempotent; failures raise `errors.DriverError`."""

    async def start(self, key: str, /) -> None:
        """Let the waiting script run. Exactly once: a second call raises."""

    def spool_path(self, key: str, /) -> Path:
        """The output spool (conmon's k8s-file format); appended to until the exit file exists."""

    async def wait(self, key: str, /) -> Exit:
        """Return when the exit file exists. Cancel-safe; any number of waiters.
        Raises `hostagent.errors.SandboxLost` where none will ever exist, e.g. the shim was killed."""

    async def signal(self, key: str, signum: signal.Signals, /) -> None:
        """Send a signal to the script's process group. No error when it is gone."""

    async def kill(self, key: str, /) -> None:
        """SIGKILL everything in its cgroup and wait until it is empty."""

    async def destroy(self, key: str, /) -> None:
        """Kill, then remove every trace: container, mounts, network, cgroup, files."""


class Runs(Life, Protocol):
    """Runs in held sandboxes. What a script leaves running in the background outlives it: only `kill` ends
    that, or the sandbox. So `destroy` kills nothing of a run that has an exit file."""

    async def create(self, spec: RunSpec, /) -> dict[str, int]:
        """Prepare everything up to a shim that waits for `start`. Answers the ms it took (`created`).
        On failure all of it is undone."""

    async def find(self, sandbox_id: str, /) -> list[FoundRun]:
        """Every run of which anything exists in the sandbox."""


class Driver(Life, Protocol):
    """One kind of sandbox."""

    isolation: str  # container, gvisor or microvm: what the API says

    @property
    def runs(self) -> Runs: ...

    async def open(self) -> None:
        """Prepare the host (mounts, cgroup roots, firewall table, pool). Undone by `close`."""

    async def close(self, *, everything: bool) -> None:
        """Let go of the pool; with `everything`, kill all sandboxes and undo `open` on the host."""

    async def images(self) -> list[str]:
        """Names of the images that are ready on this host."""

    async def create(self, spec: SandboxSpec, /) -> dict[str, int]:
        """Build the sandbox up to a waiting container. Returns the ms each stage took
        (`restored`: root file system ready; `created`: container waiting). On failure all of it is undone."""

    async def freeze(self, sandbox_id: str, /) -> None:
        """Stop all its processes where they are; return when they have stopped. Until `thaw` no run starts
        in it, and none can be killed alone."""

    async def thaw(self, sandbox_id: str, /) -> None:
        """Let them go on."""

    async def is_frozen(self, sandbox_id: str, /) -> bool:
        """No where it is gone."""

    async def cpu_ms(self, sandbox_id: str, /) -> int:
        """CPU time that all its processes have used so far, also those that have ended."""

    async def find(self) -> list[Found]:
        """Every sandbox of which anything exists on this host."""
