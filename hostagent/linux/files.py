"""Files and file systems, where Python has no call for it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from hostagent.linux.syscall import SYS_OPENAT2, check, libc, syscall

RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
_OPEN_HOW = struct.Struct("=QQQ")  # flags, mode, resolve
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Give `length` bytes at `offset` back to the file system. The size stays; the bytes read as zero."""
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    check(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)), "fallocate(PUNCH_HOLE)")


def replace_durably(path: Path, data: bytes, mark: str = "") -> None:
    """In one step, and whole after a loss of power: btrfs may commit a file's name before what is in it. Of
    several writers at once each needs a `mark` of its own."""
    fresh = path.with_name(f"{path.name}{mark}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


@contextlib.contextmanager
def directory_beneath(root: Path, path: bytes) -> Iterator[int]:
    """A descriptor of a directory below `root`. NotADirectoryError where any part of `path` is a link: those
    in a sandbox's tree lead to files of the host."""
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        how = _OPEN_HOW.pack(flags, 0, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)
        below = syscall("openat2", SYS_OPENAT2, fd, path, how, _OPEN_HOW.size)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(f"{path!r} leads through a link") from error
        raise
    finally:
        os.close(fd)
    try:
        yield below
    finally:
        os.close(below)
