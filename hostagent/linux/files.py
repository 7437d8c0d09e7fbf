"""File system calls that Python lacks."""

from __future__ import annotations

import ctypes

from hostagent.linux.syscall import check, libc

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Give `length` bytes at `offset` back to the file system. The size stays; the bytes read as zero."""
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    check(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)), "fallocate(PUNCH_HOLE)")
