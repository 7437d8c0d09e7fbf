"""Network namespaces of single threads. Call only from a thread that runs nothing else."""

from __future__ import annotations

import os

from hostagent.linux.syscall import check, libc

CLONE_NEWNET = 0x40000000


def unshare_net() -> None:
    """Move the calling thread into a new, empty network namespace, owned by its user namespace."""
    check(libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")


def enter(fd: int) -> None:
    """Move the calling thread into the network namespace behind `fd`."""
    check(libc.setns(fd, CLONE_NEWNET), "setns(CLONE_NEWNET)")


def current() -> int:
    """A descriptor of the calling thread's network namespace; it keeps the namespace alive."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
