"""Subvolumes, a step above `hostagent.linux.btrfs`. Everything here blocks for some ms."""

from __future__ import annotations

import errno
import time
from pathlib import Path

from hostagent.linux import btrfs

# How long a `btrfs` process of a killed agent may go on: until it has emptied, or missed, its pipe.
_SUCCESSOR_S = 10.0


def destroy(path: Path) -> None:
    """Destroy a subvolume, those in it, or unlink a file. Gone already is fine."""
    deadline = time.monotonic() + _SUCCESSOR_S
    while True:
        try:
            _destroy(path)
            return
        except OSError as error:
            # EPERM: it is being sent. ENOTEMPTY: something is being received into it.
            if error.errno not in (errno.EPERM, errno.ENOTEMPTY) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _destroy(path: Path) -> None:
    if not btrfs.is_subvolume(path):
        path.unlink(missing_ok=True)
        return
    for below in path.iterdir():
        if btrfs.is_subvolume(below):
            _destroy(below)
    btrfs.subvolume_destroy(path)


def copy_of(source: Path, path: Path) -> None:
    """A read-only snapshot of the read-only `source` that `btrfs send` takes for the same subvolume."""
    info = btrfs.subvolume_info(source)
    if info.received_uuid is not None:  # which a read-only snapshot inherits
        btrfs.subvolume_snapshot(source, path, is_read_only=True)
        return
    btrfs.subvolume_snapshot(source, path, is_read_only=False)
    btrfs.subvolume_set_received(path, info.uuid, info.ctransid)
    btrfs.subvolume_set_read_only(path)
