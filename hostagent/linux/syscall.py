"""The C library, called with typed arguments, failures as OSError. Kernel names stay kernel names."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

# Numbers from the kernel's generic table: the same on x86_64 and aarch64.
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_FSPICK = 433
SYS_OPENAT2 = 437
SYS_PIDFD_GETFD = 438
SYS_MOUNT_SETATTR = 442

AT_FDCWD = -100


def check(result: int, what: str) -> int:
    """`result` of a libc call, or OSError with errno and the call's name."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def syscall(what: str, number: int, *arguments: object) -> int:
    """A raw system call. Integers are passed as C longs: libc's `syscall` reads whole registers."""
    return check(libc.syscall(ctypes.c_long(number), *map(_whole, arguments)), what)


def _whole(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
