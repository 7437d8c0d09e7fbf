"""One sandbox's directory: what is on disk says what exists, so a new agent needs nothing else.

claim.json   what it holds elsewhere: network slot, image; written first, removed last
upper/       subvolume limited to the sandbox's disk: upper/upper and upper/work are the overlay's
spool/       subvolume limited to SPOOL_LIMIT_BYTES: the output
config.json script hosts resolv.conf apt.conf pid
created      the container waits      started   `crun start` was asked for
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostagent.drivers import spec as oci
from hostagent.drivers.base import Phase, SandboxSpec
from hostagent.drivers.statefs import StateFs
from hostagent.errors import DriverError
from hostagent.linux import btrfs

# The last barrier against a flood while no agent drains the spool. conmon drops what does not fit.
SPOOL_LIMIT_BYTES = 1 << 30
DISK_FULL_SLACK_BYTES = 8 << 20  # what is freed again while a program fails on a full disk
GIB = 1 << 30
CLAIM = "claim.json"


@dataclass(frozen=True, slots=True)
class Claim:
    slot_index: int
    lower: Path  # the image, or the tenant's snapshot of it


@dataclass(frozen=True, slots=True)
class Bundle:
    fs: StateFs
    sandbox_id: str

    @property
    def path(self) -> Path:
        return self.fs.sandboxes / self.sandbox_id

    @property
    def upper(self) -> Path:
        return self.path / "upper"

    @property
    def spool(self) -> Path:
        return self.path / "spool" / "log"

    @property
    def exit_file(self) -> Path:
        return self.fs.exits / self.sandbox_id

    def write_claim(self, claim: Claim) -> None:
        """Make the directory. From here on `find` sees the sandbox."""
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError as error:
            raise DriverError(f"sandbox {self.sandbox_id} exists already", "destroy it first") from error
        (self.path / CLAIM).write_text(
            json.dumps({"slot_index": claim.slot_index, "lower": str(claim.lower)})
        )

    def read_claim(self) -> Claim | None:
        """None where there is nothing, or the agent died as it wrote: then nothing else was made either."""
        try:
            values = json.loads((self.path / CLAIM).read_text())
            return Claim(int(values["slot_index"]), Path(values["lower"]))
        except (FileNotFoundError, ValueError):
            return None

    def make_subvolumes(self, disk_gb: int) -> None:
        btrfs.subvolume_create(self.upper)
        btrfs.qgroup_limit(self.upper, disk_gb * GIB)
        for name in ("upper", "work"):
            (self.upper / name).mkdir(mode=0o755)
        btrfs.subvolume_create(self.spool.parent)
        btrfs.qgroup_limit(self.spool.parent, SPOOL_LIMIT_BYTES)

    def write(self, spec: SandboxSpec, config: dict[str, Any], hosts: str, resolv_conf: str) -> None:
        self._file("config.json", json.dumps(config).encode(), 0o600)  # holds the user's environment
        self._file("script", spec.script, 0o555)
        self._file("hosts", hosts.encode(), 0o444)
        self._file("resolv.conf", resolv_conf.encode(), 0o444)
        self._file("apt.conf", oci.APT_CONF.encode(), 0o444)

    def _file(self, name: str, data: bytes, mode: int) -> None:
        fd = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)

    def mark_created(self) -> None:
        (self.path / "created").touch()

    def mark_started(self) -> None:
        """Before the runtime is asked, and never twice: a script starts at most once."""
        if not (self.path / "created").exists():
            raise DriverError(f"sandbox {self.sandbox_id} does not wait to be started", "create it first")
        try:
            (self.path / "started").touch(exist_ok=False)
        except FileExistsError as error:
            raise DriverError(f"sandbox {self.sandbox_id} was started before") from error

    def phase(self) -> Phase:
        if self.exit_file.exists():
            return Phase.EXITED
        if (self.path / "started").exists():
            return Phase.RUNNING
        return Phase.CREATED if (self.path / "created").exists() else Phase.BUILDING

    def init_pid(self) -> int | None:
        try:
            return int((self.path / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def is_disk_full(self) -> bool:
        try:
            used, limit = btrfs.qgroup_usage(btrfs.uuid(self.fs.root), btrfs.subvolume_id(self.upper))
        except FileNotFoundError:
            return False
        return used + DISK_FULL_SLACK_BYTES >= limit

    def remove(self) -> list[int]:
        """Delete everything, the claim last. Answers the ids of the subvolumes: their qgroups can go too."""
        gone = []
        for subvolume in (self.upper, self.spool.parent):
            if btrfs.is_subvolume(subvolume):
                gone.append(btrfs.subvolume_id(subvolume))
                btrfs.subvolume_destroy(subvolume)
        self.exit_file.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            for entry in self.path.iterdir():
                if entry.name == CLAIM:
                    continue
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            (self.path / CLAIM).unlink(missing_ok=True)
            self.path.rmdir()
        return gone
