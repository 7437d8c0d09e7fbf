"""Processes by handle. Numbers are used again; a handle (pidfd) means one process for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from hostagent.linux.syscall import SYS_PIDFD_GETFD, check, libc, syscall

PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PF_EXITING = 0x4
PTMX = os.makedev(5, 2)
ID_MASK = (1 << 32) - 1


@contextlib.contextmanager
def pidfd(pid: int) -> Iterator[int]:
    """A handle; ProcessLookupError when there is no such process."""
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)


def files(pid: int) -> Iterator[os.stat_result]:
    """What the process has open. FileNotFoundError when there is no such process."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield entry.stat()


def pipes(pid: int, mode: int) -> dict[str, Path]:
    """Those that the process only reads (O_RDONLY) or writes (O_WRONLY), and where each is to be opened.
    FileNotFoundError when there is no such process."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(entry.readlink())
            info = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text()
        except FileNotFoundError:  # closed meanwhile
            continue
        if name.startswith("pipe:") and int(info.partition("flags:")[2].split()[0], 8) & os.O_ACCMODE == mode:
            found[name] = entry
    return found


def terminals(pid: int) -> list[int]:
    """Its descriptors of terminals' far ends. FileNotFoundError when there is no such process."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            status = entry.stat()
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == PTMX:
                found.append(int(entry.name))
    return found


def take(pidfd: int, number: int) -> int:
    """One of a process's descriptors, as one of our own: the same open file."""
    return syscall("pidfd_getfd", SYS_PIDFD_GETFD, pidfd, number, 0)


def is_ending(pid: int) -> bool:
    """Whether the process has begun to end, or is gone: such ones have left their control groups."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return bool(int(fields[6]) & PF_EXITING)


@contextlib.contextmanager
def ends(pids: Iterable[int]) -> Iterator[asyncio.Event]:
    """An event that is set as soon as all of `pids` have ended; at once where there is none."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    alive: set[int] = set()

    def ended(fd: int) -> None:
        loop.remove_reader(fd)
        alive.discard(fd)
        if not alive:
            event.set()

    with contextlib.ExitStack() as stack:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                fd = stack.enter_context(pidfd(pid))
                alive.add(fd)
                stack.callback(loop.remove_reader, fd)
                loop.add_reader(fd, ended, fd)
        if not alive:
            event.set()
        yield event


def set_securebits(bits: int) -> None:
    check(libc.prctl(PR_SET_SECUREBITS, bits, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")


def set_fs_ids(uid: int, gid: int) -> None:
    """The ids of file accesses. The calls never fail and answer the old id: a second one tells the new."""
    for call, value in ((libc.setfsgid, gid), (libc.setfsuid, uid)):
        call(value)
        if call(-1) & ID_MASK != value:  # ids are unsigned, what libc answers is not
            raise PermissionError(f"setfsuid/setfsgid({value}) had no effect")
