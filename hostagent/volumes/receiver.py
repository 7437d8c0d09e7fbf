"""`btrfs receive`, confined to one directory. Everything here blocks.

It sees its directory as a mount of its own, without devices and set-user-id, and is chrooted into it: a
stream can make a device node, but neither it nor `btrfs receive` can open it there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hostagent.linux import apart, mount
from hostagent.linux.launch import ENVIRONMENT
from hostagent.volumes import pipe
from hostagent.volumes.errors import ReceiveFailed
from hostagent.volumes.stream import Buffer

_FLAGS = mount.MS_NODEV | mount.MS_NOSUID | mount.MS_NOEXEC


class Receiver:
    """Takes one or more streams, one after the other, into `directory`, the root of a subvolume."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # A thread of its own: the namespace it enters is also its child's, and goes with it.
        with ThreadPoolExecutor(max_workers=1) as thread:
            self._process = thread.submit(_start, self._directory).result()

    def write(self, parts: Iterable[Buffer]) -> None:
        process = self._running()
        target = pipe.enlarged(process.stdin)
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[os.write(target, view) :]
        except BrokenPipeError:
            raise ReceiveFailed(f"btrfs receive: {pipe.end(process)}") from None

    def finish(self) -> None:
        """The end of the last stream. Returns when all is on the file system."""
        process = self._running()
        said = pipe.end(process)
        if process.returncode != 0:
            raise ReceiveFailed(f"btrfs receive: {said}")

    def kill(self) -> None:
        """Harmless at any time, from any thread."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """The process has ended when this returns."""
        if self._process is not None:
            pipe.kill(self._process)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process


def _start(directory: Path) -> subprocess.Popen[bytes]:
    apart.enter(directory)
    mount.mount(str(directory), directory, "", mount.MS_BIND)
    mount.mount("none", directory, "", mount.MS_BIND | mount.MS_REMOUNT | _FLAGS)
    return subprocess.Popen(
        ["btrfs", "--quiet", "receive", "--chroot", "--max-errors", "1", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
