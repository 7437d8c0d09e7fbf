"""How what runs below a conmon is waited for and spoken to: the same for a sandbox and for a run."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

from hostagent.drivers.base import Exit
from hostagent.drivers.host import Host
from hostagent.drivers.marks import Marked
from hostagent.errors import SandboxLost
from hostagent.linux import cgroup, notify, process
from hostagent.waiting import first


@dataclass(frozen=True, slots=True)
class Watched:
    marked: Marked
    group: str  # of its processes
    shim: str  # of its conmon


async def wait(host: Host, watched: Watched) -> int:
    """The exit code, as soon as it is there. SandboxLost where none will ever be."""
    exit_file, name = watched.marked.exit_file, watched.marked.name
    text = await until(host, watched, exit_file, notify.MOVED_TO)
    if not text:
        raise SandboxLost(f"the shim of {name} is gone and left no exit code")
    code = int(text)
    if not 0 <= code <= 255:  # conmon's -1: it could not tell
        raise SandboxLost(f"the shim of {name} does not know its exit code")
    return code


async def until(host: Host, watched: Watched, file: Path, mask: int) -> bytes:
    """What conmon writes to a file, told by `mask` events; nothing where it is gone and has not."""
    shims = cgroup.pids(host.groups, watched.shim, "cpu")  # from memory, sooner than a thread takes over
    try:
        with notify.shared().subscribe(file.parent, mask) as changes, process.ends(shims) as ended:
            while True:
                is_alone = ended.is_set()  # asked before the look at the file: conmon writes it, then ends
                if text := _content(file):
                    return text
                if is_alone:
                    return b""
                await first(changes.woken, ended)
                changes.take()
    except FileNotFoundError:
        return b""  # not even the directory


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def end(watched: Watched, code: int, *, is_oom: bool, is_disk_full: bool) -> Exit:
    at_ms = watched.marked.exit_file.stat().st_mtime_ns // 1_000_000
    return Exit(exit_code=code, is_oom=is_oom, is_disk_full=is_disk_full, at_ms=at_ms)


def send(host: Host, watched: Watched, signum: signal.Signals) -> None:
    """To the init, which passes it on to the script's process group."""
    pid = watched.marked.pid()
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError), process.pidfd(pid) as fd:
        # Looked up after opening: a number that was given away again is in another cgroup.
        if pid in cgroup.pids(host.groups, watched.group):
            signal.pidfd_send_signal(fd, signum)
