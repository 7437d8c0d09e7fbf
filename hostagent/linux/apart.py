"""Away from other agents' file systems, in a mount namespace of one's own.

Where / is not shared, as without systemd, an unmount on the host does not reach the copies in other
namespaces: each would hold the loop device of an agent's sparse file system for ever.

    unshare --mount python -m hostagent.linux.apart PROGRAM ARGUMENTS...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hostagent.linux import mount

STATE_FS = "fs"  # the name of every agent's mount point (`hostagent.drivers.statefs`)


def enter(directory: Path) -> None:
    """Move the calling thread, which runs nothing else, to a mount namespace of its own for work in
    `directory`."""
    mount.unshare(mount.CLONE_NEWNS)
    mount.mount("none", Path("/"), "", mount.MS_REC | mount.MS_PRIVATE)
    let_go(but=directory)


def let_go(*, but: Path | None = None) -> None:
    """Detach every agent's sparse file system from this thread's namespace, except the one of a path."""
    for line in Path("/proc/thread-self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point, device = Path(left.split()[4]), right.split(" ", 2)[1]
        is_wanted = but is not None and but.is_relative_to(point)
        if device.startswith("/dev/loop") and point.name == STATE_FS and not is_wanted:
            mount.umount2(point, mount.MNT_DETACH)


if __name__ == "__main__":
    let_go()
    os.environ.pop("PYTHONPATH", None)  # ours, to find this module
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - a list of arguments, as everywhere
