"""Whether a volume's files were changed, which every mount of it would say of its root and of `work/`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hostagent.linux.btrfs import SUBVOLUME_INODE
from hostagent.linux.btrfs_search import inodes_changed

# work/, work/work/, what is being made or removed there, and the whiteouts in that. What lies deeper is not
# overlayfs's, may be too deep for any path, and counts as a change.
OVERLAYS_LEVELS = 3


def is_changed(volume: Path, after: int) -> bool:
    """Whether anything below `upper/` was, in a later transaction than `after`. Each change of a file changes
    its inode; of a name, the directory's."""
    overlays_own = _below_work(volume) | {SUBVOLUME_INODE}
    return any(inode not in overlays_own for inode in inodes_changed(volume, after))


def _below_work(volume: Path) -> set[int]:
    work = volume / "work"
    return {work.lstat().st_ino, *_inodes_below(work, OVERLAYS_LEVELS)}


def _inodes_below(directory: Path, levels: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError):  # of a mount in use, what is here may go at any time
        for entry in os.scandir(directory):
            yield entry.inode()
            if levels > 1 and entry.is_dir(follow_symlinks=False):
                yield from _inodes_below(Path(entry.path), levels - 1)
