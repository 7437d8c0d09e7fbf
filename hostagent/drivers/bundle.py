"""One sandbox's directory: what is on disk says what exists, so a new agent needs nothing else.

claim.json   what it holds elsewhere: network slot, image, writable layer; written first, removed last
upper/       subvolume limited to the sandbox's disk: upper/upper and upper/work are the overlay's. Not where
             the writable layer is somebody else's
spool/       subvolume limited to SPOOL_LIMIT_BYTES: the output, also that of runs
config.json script hosts resolv.conf apt.conf, and what `marks` tells of
scripts/     of a held sandbox: seen inside as /run/mags/runs    runs/<run id>/    see `runbundle`
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
from hostagent.drivers.base import SandboxSpec
from hostagent.drivers.marks import Marked
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
    upper: Path | None = None  # the writable layer, where it is not the sandbox's own
    is_held: bool = False

    def encode(self) -> str:
        upper = None if self.upper is None else str(self.upper)
        values = {"slot_index": self.slot_index, "lower": str(self.lower)}
        return json.dumps({**values, "upper": upper, "is_held": self.is_held})

    @classmethod
    def decode(cls, text: str) -> Claim:
        values = json.loads(text)
        upper = values.get("upper")  # agents before 0.2 wrote neither this nor is_held
        return cls(
            int(values["slot_index"]),
            Path(values["lower"]),
            None if upper is None else Path(upper),
            bool(values.get("is_held")),
        )


@dataclass(frozen=True, slots=True)
class Bundle(Marked):
    fs: StateFs
    sandbox_id: str

    @property
    def name(self) -> str:
        return f"sandbox {self.sandbox_id}"

    @property
    def path(self) -> Path:
        return self.fs.sandboxes / self.sandbox_id

    @property
    def upper(self) -> Path:
        """The writable layer that goes with the sandbox."""
        return self.path / "upper"

    @property
    def scripts(self) -> Path:
        return self.path / "scripts"

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
        (self.path / CLAIM).write_text(claim.encode())

    def read_claim(self) -> Claim | None:
        """None where there is nothing, or the agent died as it wrote: then nothing else was made either."""
        try:
            return Claim.decode((self.path / CLAIM).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def make_subvolumes(self, spec: SandboxSpec) -> None:
        if spec.upper is None:
            btrfs.subvolume_create(self.upper)
            btrfs.qgroup_limit(self.upper, spec.disk_gb * GIB)
            for name in ("upper", "work"):
                (self.upper / name).mkdir(mode=0o755)
        else:
            _empty(spec.upper / "work")
        btrfs.subvolume_create(self.spool.parent)
        btrfs.qgroup_limit(self.spool.parent, SPOOL_LIMIT_BYTES)

    def write(self, spec: SandboxSpec, config: dict[str, Any], hosts: str, resolv_conf: str) -> None:
        self._file("config.json", json.dumps(config).encode(), 0o600)  # holds the user's environment
        if spec.is_held:
            (self.path / "runs").mkdir(mode=0o700)
            self.scripts.mkdir(mode=0o755)
            os.mkfifo(self.scripts / Path(oci.HOLD).name, 0o444)
        else:
            self._file("script", spec.script, 0o555)
        self._file("hosts", hosts.encode(), 0o444)
        self._file("resolv.conf", resolv_conf.encode(), 0o444)
        self._file("apt.conf", oci.APT_CONF.encode(), 0o444)

    def _file(self, name: str, data: bytes, mode: int) -> None:
        fd = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)

    def is_disk_full(self) -> bool:
        claim = self.read_claim()
        upper = self.upper if claim is None or claim.upper is None else claim.upper
        try:
            used, limit = btrfs.qgroup_usage(btrfs.uuid(self.fs.root), btrfs.subvolume_id(upper))
        except FileNotFoundError:
            return False
        return 0 < limit <= used + DISK_FULL_SLACK_BYTES

    def remove(self) -> list[int]:
        """Delete everything, the claim last; never a writable layer of somebody else's. Answers the ids of
        the subvolumes: their qgroups can go too."""
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


def _empty(directory: Path) -> None:
    """overlay's work directory: what another mount left in it must not be found by the next."""
    for entry in directory.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
