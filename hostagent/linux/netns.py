"""Network namespaces of single threads. Call only from a thread that runs nothing else."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def unshare_net() -> None:
    """Move the calling thread into a new, empty network namespace, owned by its user namespace."""
    _check(_libc.unshare(CLONE_NEWNET))


def enter(fd: int) -> None:
    """Move the calling thread into the network namespace behind `fd`."""
    _check(_libc.setns(fd, CLONE_NEWNET))


def current() -> int:
    """A descriptor of the calling thread's network namespace; it keeps the namespace alive."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
