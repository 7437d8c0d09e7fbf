"""The agent's btrfs: images, tenants' copies of them, sandboxes. Found where it is, or made in a sparse file.

    images/<name>            subvolume: a platform root file system (`hostagent.drivers.builds`)
    tenants/<tenant>/<name>.<subvolume id>     read-only snapshot of an image
    sandboxes/<id>/          one sandbox; `hostagent.drivers.bundle` knows what is in it
    exits/<id>               exit code, written by conmon

Quotas are on: every subvolume is accounted and can be limited. Each commit then looks up who refers to the
changed extents, which costs CPU and metadata, and btrfs sets about 1 GiB aside for metadata as it fills: the
sparse file must not be smaller than a few GiB.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from hostagent.config import Config
from hostagent.errors import DriverError
from hostagent.linux import btrfs, mount

OPTIONS = "loop,noatime,discard=async"  # discard: blocks freed inside leave the sparse file as well
UNMOUNT_TIMEOUT_S = 5.0
GIB = 1 << 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StateFs:
    root: Path

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def tenants(self) -> Path:
        return self.root / "tenants"

    @property
    def sandboxes(self) -> Path:
        return self.root / "sandboxes"

    @property
    def exits(self) -> Path:
        return self.root / "exits"


def state_root(config: Config) -> Path:
    """Where the state file system is mounted."""
    return config.state_dir.resolve() / "fs"


def open_state(config: Config) -> StateFs:
    """Mount or find the state file system. Repeatable, by any process: the mount outlives its maker."""
    state_dir = config.state_dir.resolve()
    fs = StateFs(state_root(config))
    try:
        fs.root.mkdir(parents=True, exist_ok=True)
        if not btrfs.is_btrfs(fs.root):
            _mount_image(config, state_dir / "fs.btrfs", fs.root)
        btrfs.quota_enable(fs.root)
        btrfs.quota_mend(fs.root)
        # Closed to everybody else: ids on disk are the sandboxes', so a set-user-id file of a tenant's root
        # would be one of the host's root.
        for directory in (fs.images, fs.tenants, fs.sandboxes, fs.exits):
            directory.mkdir(mode=0o700, exist_ok=True)
    except (OSError, subprocess.CalledProcessError) as error:
        hint = "run `hostagent doctor`; the directory needs btrfs or a file system that can hold a loop file"
        raise DriverError(f"no btrfs at {fs.root}: {_detail(error)}", hint) from error
    return fs


def close_state(config: Config) -> None:
    """Unmount the sparse file and see its loop device go with it. The file, and so the images, stay."""
    state_dir = config.state_dir.resolve()
    root, image = state_dir / "fs", state_dir / "fs.btrfs"
    deadline = time.monotonic() + UNMOUNT_TIMEOUT_S
    # Tried again: the last namespaces of sandboxes go when the kernel has reaped their processes.
    while root.is_mount():
        try:
            mount.umount2(root)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise DriverError(f"cannot unmount {root}: {error}", f"see `fuser -vm {root}`") from error
            time.sleep(0.02)
    while _has_loop_device(image):
        if time.monotonic() > deadline:
            _log.warning(
                "%s keeps its loop device: processes %s have a copy of its mount", image, _holders(root)
            )
            return
        time.sleep(0.02)


def _holders(root: Path) -> list[str]:
    """Processes in mount namespaces that were made elsewhere while the file system was mounted."""
    found = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if f" {root} " in path.read_text():
                found.append(path.parent.name)
    return found


def _has_loop_device(image: Path) -> bool:
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if path.read_text().rstrip("\n") == str(image):
                return True
    return False


def _mount_image(config: Config, image: Path, root: Path) -> None:
    if not image.exists():
        new = image.with_suffix(".new")
        new.unlink(missing_ok=True)
        with new.open("xb") as file:
            os.ftruncate(file.fileno(), config.state_image_gb * GIB)
        btrfs.mkfs(new)
        new.rename(image)
    subprocess.run(["mount", "-o", OPTIONS, str(image), str(root)], check=True, capture_output=True)


def _detail(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error.cmd[0]}: {(error.stderr or b'').decode(errors='replace').strip()}"
    return str(error)
