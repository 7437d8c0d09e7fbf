"""Keeps holes holes in an incremental stream.

Protocol 1 has no word for a hole: where the parent has data, the kernel sends zeros, in full length. A zeroed
range that is a hole in the snapshot becomes a FALLOCATE command, which `btrfs receive` takes in any stream.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path

from hostagent.linux import btrfs
from hostagent.linux.files import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
from hostagent.volumes.errors import VolumeError
from hostagent.volumes.stream import Attribute, Kind, attributes, command

# 2 s of what the kernel writes. One punched page in a sparse file of 8 EiB makes it send 8 EiB of zeros.
ZEROS_LIMIT_BYTES = 4 << 30
_ZEROS = bytes(64 << 10)  # more than one command carries
_ORPHAN = re.compile(rb"o([0-9]+)-[0-9]+-[0-9]+(?=/|\Z)")
_MODE = (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE).to_bytes(4, "little")


class TooManyZeros(VolumeError):
    """The stream is better sent in full: a full one has no zeros for holes."""


class Holes:
    """Looks at the WRITE commands of a stream that was made from `snapshot` and `parent`."""

    def __init__(self, snapshot: Path, parent: Path) -> None:
        self._snapshot = snapshot
        self._parent = parent
        self._block_bytes = os.statvfs(snapshot).f_bsize
        self._path = b""
        self._fds: list[int] = []
        self._zeros_bytes = 0

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def write(self, data: bytes, body: int, end: int) -> bytes | None:
        """A handler for `Rewriter`."""
        found = {kind: (start, stop) for kind, start, stop in attributes(data, body, end)}
        start, stop = found[Attribute.DATA]
        if not data.startswith(_ZEROS[: stop - start], start, stop):
            return None
        self._zeros_bytes += stop - start
        if self._zeros_bytes > ZEROS_LIMIT_BYTES:
            raise TooManyZeros(f"more than {ZEROS_LIMIT_BYTES} bytes of zeros")
        path, offset = (data[slice(*found[key])] for key in (Attribute.PATH, Attribute.FILE_OFFSET))
        if path != self._path:
            self._look_up(path)
        at = int.from_bytes(offset, "little")
        if not any(_is_hole(fd, at, stop - start) for fd in self._fds):
            return None
        return self._punch(path, at, stop - start)

    def _punch(self, path: bytes, offset: int, length: int) -> bytes:
        """One zero at the end, as the size must grow if it is smaller; then the hole over all of it. An end
        within a block is that of the file, and blocks are given back only as a whole: what is beyond is none
        of the file."""
        last = (offset + length - 1).to_bytes(8, "little")
        blocks = -(-length // self._block_bytes) * self._block_bytes
        grow = ((Attribute.PATH, path), (Attribute.FILE_OFFSET, last), (Attribute.DATA, b"\0"))
        punch = (
            (Attribute.PATH, path),
            (Attribute.FALLOCATE_MODE, _MODE),
            (Attribute.FILE_OFFSET, offset.to_bytes(8, "little")),
            (Attribute.SIZE, blocks.to_bytes(8, "little")),
        )
        return command(Kind.WRITE, *grow) + command(Kind.FALLOCATE, *punch)

    def _look_up(self, path: bytes) -> None:
        """Open what may be the file in the snapshot. The stream's path is one of a moment between parent and
        snapshot, so this is a guess; a wrong one does no harm: the bytes are zero, written or not."""
        self.close()
        self._path = path
        for fd in (self._by_path(path), self._by_inode(path)):
            if fd is not None:
                self._fds.append(fd)

    def _by_path(self, path: bytes) -> int | None:
        """It has its final path already, or is below a directory that waits for it under a made-up name."""
        if match := _ORPHAN.match(path):
            return self._of_inode(int(match[1]), path[match.end() :])
        return _open_regular(self._snapshot, path)

    def _by_inode(self, path: bytes) -> int | None:
        """It still has the path of the parent."""
        fd = _open_regular(self._parent, path)
        if fd is None:
            return None
        inode = os.fstat(fd).st_ino
        os.close(fd)
        return self._of_inode(inode, b"")

    def _of_inode(self, inode: int, below: bytes) -> int | None:
        try:
            return _open_regular(self._snapshot, btrfs.inode_path(self._snapshot, inode) + below)
        except OSError:
            return None


def _is_hole(fd: int, offset: int, length: int) -> bool:
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        return error.errno == errno.ENXIO  # no data from there to the end


def _open_regular(root: Path, path: bytes) -> int | None:
    """The file below `root` if it is a plain one. Follows no link, and opens nothing else."""
    with contextlib.ExitStack() as stack:
        try:
            fd = os.open(root, os.O_PATH | os.O_CLOEXEC)
            stack.callback(os.close, fd)
            for component in path.split(b"/"):
                fd = os.open(component, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                stack.callback(os.close, fd)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC)
        except OSError:
            return None
    return None
