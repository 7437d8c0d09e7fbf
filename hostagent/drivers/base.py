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
    disk_gb: int = 2


class Phase(StrEnum):
    """Where a found sandbox is."""

    BUILDING = "building"  # something of it exists, its container does not: destroy it or create again
    CREATED = "created"  # the container waits; its script has certainly not started
    RUNNING = "running"  # started; or start was asked for and its answer is unknown
    EXITED = "exited"  # the exit file is there


@dataclass(frozen=True, slots=True)
class Exit:
    """How a sandbox's first process ended, read from the exit file."""

    exit_code: int  # 0-255; 128 + n for signal n
    is_oom: bool  # the kernel killed for memory in its cgroup
    is_disk_full: bool  # its disk limit was reached when it ended
    at_ms: int  # Unix ms


@dataclass(frozen=True, slots=True)
class Found:
    sandbox_id: str
    phase: Phase


class Driver(Protocol):
    """One kind of sandbox. All methods are idempotent; failures raise `hostagent.errors.DriverError`."""

    isolation: str  # container, gvisor or microvm: what the API says

    async def open(self) -> None:
        """Prepare the host (mounts, cgroup roots, firewall table, pool). Undone by `close`."""

    async def close(self, *, everything: bool) -> None:
        """Let go of the pool; with `everything`, kill all sandboxes and undo `open` on the host."""

    async def images(self) -> list[str]:
        """Names of the images that are ready on this host."""

    async def create(self, spec: SandboxSpec) -> dict[str, int]:
        """Build the sandbox up to a waiting container. Returns the ms each stage took
        (`restored`: root file system ready; `created`: container waiting). On failure all of it is undone."""

    async def start(self, sandbox_id: str) -> None:
        """Let the waiting container run its script. Exactly once: a second call raises."""

    def spool_path(self, sandbox_id: str) -> Path:
        """The output spool (conmon's k8s-file format); appended to until the exit file exists."""

    async def wait(self, sandbox_id: str) -> Exit:
        """Return when the exit file exists. Cancel-safe; any number of waiters.
        Raises `hostagent.errors.SandboxLost` where none will ever exist, e.g. the shim was killed."""

    async def signal(self, sandbox_id: str, signum: signal.Signals) -> None:
        """Send a signal to the script's process group. No error when it is gone."""

    async def kill(self, sandbox_id: str) -> None:
        """SIGKILL everything in its cgroup and wait until it is empty."""

    async def destroy(self, sandbox_id: str) -> None:
        """Kill, then remove every trace: container, mounts, network, cgroup, files."""

    async def find(self) -> list[Found]:
        """Every sandbox of which anything exists on this host."""
