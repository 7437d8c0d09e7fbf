"""inotify: one instance for the whole process, any number of subscriptions on directories.

A user may hold 128 instances (fs.inotify.max_user_instances), so nobody opens one of their own:

    with notify.shared().subscribe(directory, notify.MODIFY) as changes:
        ...look at the files first: what happened before the subscription is not told...
        names = await changes.wait()
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
import weakref
from collections.abc import Iterator
from pathlib import Path

from hostagent.linux.syscall import check, libc

MODIFY = 0x002
CLOSE_WRITE = 0x008
MOVED_TO = 0x080
CREATE = 0x100
DELETE = 0x200
_MASK_ADD = 0x2000_0000
_ONLYDIR = 0x0100_0000
_OVERFLOW = 0x4000
_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name
_READ_BYTES = 64 * 1024


class Changes:
    """The names that changed in one directory since they were last taken."""

    def __init__(self, mask: int) -> None:
        self.mask = mask
        self.woken = asyncio.Event()  # set while there is something to take
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        self._names.add(name)
        self.woken.set()

    def take(self) -> set[str]:
        """Names that changed. `""` is among them when the kernel's queue overflowed or the directory is
        gone: look at everything then."""
        names, self._names = self._names, set()
        self.woken.clear()
        return names

    async def wait(self) -> set[str]:
        """As `take`, at least one name."""
        await self.woken.wait()
        return self.take()


class Notify:
    """One inotify descriptor, read by one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Without a reference to the loop: when the loop goes this goes, and the descriptor with it.
        self._fd = check(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        weakref.finalize(self, os.close, self._fd)
        self._subscribers: dict[int, list[Changes]] = {}
        loop.add_reader(self._fd, self._read)

    @contextlib.contextmanager
    def subscribe(self, directory: Path, mask: int) -> Iterator[Changes]:
        """Tell of `mask` events on entries of `directory`. Subscribe first, then look: nothing is missed."""
        # One watch per inode: MASK_ADD widens it for a second subscriber instead of replacing it.
        flags = ctypes.c_uint32(mask | _MASK_ADD | _ONLYDIR)
        watch = check(libc.inotify_add_watch(self._fd, os.fsencode(directory), flags), f"inotify {directory}")
        changes = Changes(mask)
        self._subscribers.setdefault(watch, []).append(changes)
        try:
            yield changes
        finally:
            self._unsubscribe(watch, changes)

    def _unsubscribe(self, watch: int, changes: Changes) -> None:
        subscribers = self._subscribers.get(watch)
        if subscribers is None or changes not in subscribers:
            return  # the directory went away first
        subscribers.remove(changes)
        if not subscribers:
            del self._subscribers[watch]
            libc.inotify_rm_watch(self._fd, watch)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        position = 0
        while position < len(data):
            watch, mask, _cookie, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            name = data[position - length : position].rstrip(b"\0")
            self._tell(watch, mask, os.fsdecode(name))

    def _tell(self, watch: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            for changes in [c for subscribers in self._subscribers.values() for c in subscribers]:
                changes.add("")
        elif mask & _IGNORED:
            for changes in self._subscribers.pop(watch, []):
                changes.add("")
        else:
            for changes in self._subscribers.get(watch, []):
                if mask & changes.mask:
                    changes.add(name)


_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Notify] = weakref.WeakKeyDictionary()


def shared() -> Notify:
    """The running loop's instance, made at first use; it lives as long as the loop."""
    loop = asyncio.get_running_loop()
    if loop not in _shared:
        _shared[loop] = Notify(loop)
    return _shared[loop]
