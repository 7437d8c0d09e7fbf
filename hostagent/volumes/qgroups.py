"""Quota groups of subvolumes that are gone. Kernels before 6.12 leave them for ever, and each makes every
commit of the file system a little slower."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hostagent.linux import btrfs
from hostagent.linux.btrfs_search import subvolumes

SWEEP_LIMIT = 10_000  # of one start of the agent; those beyond have time until the next


def sweep_qgroups(root: Path) -> int:
    """Remove those that no subvolume has any more, and answer how many they were. Where the kernel is
    still at it, another time."""
    if not btrfs.is_btrfs(root):  # an agent whose driver needs none
        return 0
    found = btrfs.qgroups(btrfs.uuid(root))  # first: what is made meanwhile is not among them
    kept = {btrfs.TOP_LEVEL, *subvolumes(root)}
    stale = [subvolume for subvolume in found if subvolume not in kept]
    count = 0
    for subvolume in stale[:SWEEP_LIMIT]:
        with contextlib.suppress(OSError):  # nothing depends on it
            count += btrfs.qgroup_destroy(root, subvolume)
    return count
