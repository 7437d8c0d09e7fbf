"""What differs between two versions that are on this host, in paths as the sandbox sees them.

A stream without data names what was changed; the two snapshots say what it was and is. So it costs what the
change costs, not what the volume does.
"""

from __future__ import annotations

import os
import select
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hostagent.linux import btrfs
from hostagent.linux.files import directory_beneath
from hostagent.linux.launch import ENVIRONMENT
from hostagent.volumes import pipe
from hostagent.volumes.errors import PathTooLong, SendFailed
from hostagent.volumes.names import ROOM_BYTES, Names, Room
from hostagent.volumes.stream import Attribute, Handler, Kind, Rewriter, values

UPPER = b"upper/"
LOOK_S = 1.0  # how soon an end is noticed while `btrfs send` says nothing
_NEW = (Kind.MKFILE, Kind.MKDIR, Kind.MKNOD, Kind.MKFIFO, Kind.MKSOCK, Kind.SYMLINK, Kind.LINK)
_GONE = (Kind.UNLINK, Kind.RMDIR)
_WRITTEN = (Kind.WRITE, Kind.CLONE, Kind.TRUNCATE, Kind.UPDATE_EXTENT)
_TOUCHED = (Kind.SET_XATTR, Kind.REMOVE_XATTR, Kind.CHMOD, Kind.CHOWN, Kind.UTIMES)
# overlayfs marks what it has copied from the image; which name it uses depends on how it was mounted.
_ORIGINS = ("trusted.overlay.origin", "user.overlay.origin")
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


@dataclass(slots=True)
class Difference:
    """Paths without a leading slash; bytes that are not UTF-8 are surrogates. Sorted."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def diff(
    old: Path, new: Path, *, is_over: Callable[[], bool] = lambda: False, room_bytes: int = ROOM_BYTES
) -> Difference:
    """Between two read-only snapshots of volumes. A changed file with several names (hard links) is found
    under one of them at least, which may be a new one. Blocks: call it in a thread; it ends soon, with
    DiffAborted, after `is_over` says so. TooManyPaths where it would take more memory than `room_bytes`.

    Of snapshots that were received apart, inodes say nothing: there a file counts as the same whose type,
    owner, mode, attributes, size and time of change are the same."""
    room = Room(is_over, room_bytes)
    is_related = are_related(old, new)
    if is_related:
        names = _names(old, new, room)
        candidates = _candidates(names, old, new, room)
        written = {room.for_path(path) for path, node in names.all() if node.is_written}
    else:
        candidates, written = {*_below(old, UPPER[:-1], room), *_below(new, UPPER[:-1], room)}, set()
    found = Difference()
    lists = {"added": found.added, "changed": found.changed, "removed": found.removed}
    for path in sorted(candidates):
        room.check()
        if path.startswith(UPPER):
            was, now = _Entry.of(old, path), _Entry.of(new, path)
            change = _change(was, now, is_written=path in written, is_related=is_related)
            if change is not None:
                lists[change].append(os.fsdecode(path.removeprefix(UPPER)))
    return found


def are_related(one: Path, other: Path) -> bool:
    """Whether they have a common origin on this file system, so that an inode of both is one file."""
    tops = one / UPPER[:-1].decode(), other / UPPER[:-1].decode()
    try:
        stamps = {(top.stat().st_ino, btrfs.inode_generation(top)) for top in tops}
    except FileNotFoundError:
        return False
    return len(stamps) == 1


def _names(old: Path, new: Path, room: Room) -> Names:
    names = Names(room)
    rewriter = Rewriter(_handlers(names))
    command = ["btrfs", "--quiet", "send", "--no-data", "-p", str(old), str(new)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        try:
            output = pipe.enlarged(process.stdout)
            while chunk := _read(output, room):
                rewriter.feed(chunk)
            said = pipe.end(process)
        finally:
            process.kill()
    if process.returncode != 0:
        raise PathTooLong(said) if "File name too long" in said else SendFailed(f"btrfs send: {said}")
    rewriter.finish()
    return names


def _read(output: int, room: Room) -> bytes:
    poll = select.poll()  # `select` takes no descriptor above 1,023
    poll.register(output)
    while not poll.poll(LOOK_S * 1000):
        room.check()
    return os.read(output, pipe.PIPE_BYTES)


def _handlers(names: Names) -> dict[int, Handler]:
    def new(data: bytes, body: int, end: int) -> None:
        names.add(values(data, body, end)[Attribute.PATH])

    def gone(data: bytes, body: int, end: int) -> None:
        names.remove(values(data, body, end)[Attribute.PATH])

    def touched(data: bytes, body: int, end: int) -> None:
        names.touch(values(data, body, end)[Attribute.PATH])

    def written(data: bytes, body: int, end: int) -> None:
        names.write(values(data, body, end)[Attribute.PATH])

    def renamed(data: bytes, body: int, end: int) -> None:
        found = values(data, body, end)
        names.rename(found[Attribute.PATH], found[Attribute.PATH_TO])

    handlers: dict[int, Handler] = {Kind.RENAME: renamed}
    for kinds, handler in ((_NEW, new), (_GONE, gone), (_TOUCHED, touched), (_WRITTEN, written)):
        handlers |= dict.fromkeys(kinds, handler)
    return handlers


def _candidates(names: Names, old: Path, new: Path, room: Room) -> set[bytes]:
    """Paths that may differ, in either of the two."""
    found = set(names.gone)
    for path in names.gone:
        found |= _another_name(old, path, new)
    for path, node in names.all():
        if node.is_touched or node.is_written or node.origin != path:
            found.add(room.for_path(path))
        if node.origin is not None and node.origin != path:  # moved, with all that is below
            found |= {node.origin, *_below(old, node.origin, room), *_below(new, path, room)}
    return found


def _another_name(old: Path, path: bytes, new: Path) -> set[bytes]:
    """The stream may have changed a file under a name that it then took away."""
    entry = _Entry.of(old, path)
    if entry is None or entry.status.st_nlink == 1:
        return set()
    try:
        return {btrfs.inode_path(new, entry.status.st_ino)}
    except FileNotFoundError:
        return set()


def _below(root: Path, path: bytes, room: Room) -> Iterator[bytes]:
    todo = [path]
    while todo:
        directory = todo.pop()
        try:
            with directory_beneath(root, directory) as fd, os.scandir(fd) as found:
                entries = list(found)
        except (NotADirectoryError, FileNotFoundError):
            continue
        for entry in entries:
            below = room.for_path(directory + b"/" + os.fsencode(entry.name))
            yield below
            if entry.is_dir(follow_symlinks=False):
                todo.append(below)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one version has at a path."""

    status: os.stat_result
    xattrs: dict[str, bytes]

    @classmethod
    def of(cls, root: Path, path: bytes) -> _Entry | None:
        directory, _, name = path.rpartition(b"/")
        try:
            with directory_beneath(root, directory) as fd:
                here = f"/proc/self/fd/{fd}/{os.fsdecode(name)}"
                status = os.lstat(here)
                names = os.listxattr(here, follow_symlinks=False)
                xattrs = {name: os.getxattr(here, name, follow_symlinks=False) for name in names}
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(status, xattrs)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_whiteout(self) -> bool:
        return stat.S_ISCHR(self.status.st_mode) and self.status.st_rdev == 0

    def has(self, names: tuple[str, ...]) -> bool:
        return any(name in self.xattrs for name in names)

    def differs(self, other: _Entry, *, is_related: bool) -> bool:
        one, two = self.status, other.status
        if (one.st_mode, one.st_uid, one.st_gid) != (two.st_mode, two.st_uid, two.st_gid):
            return True
        if self.xattrs != other.xattrs:
            return True
        if self.is_directory:
            return False
        if (one.st_size, one.st_mtime_ns, one.st_rdev) != (two.st_size, two.st_mtime_ns, two.st_rdev):
            return True
        # Another inode under the old name is another file, even where it looks the same.
        return is_related and one.st_ino != two.st_ino


def _change(was: _Entry | None, now: _Entry | None, *, is_written: bool, is_related: bool) -> str | None:
    """None stands for what the image has there, if anything; a whiteout for nothing."""
    if now is None:
        return None if was is None else "added" if was.is_whiteout else "removed"
    if now.is_whiteout:
        return None if was is not None and was.is_whiteout else "removed"
    if was is None:
        if now.has(_OPAQUE):
            return "changed"  # instead of a directory of the image
        if now.has(_ORIGINS):  # copied from there, a directory only to hold what was changed below
            return None if now.is_directory else "changed"
        return "added"
    if was.is_whiteout:
        return "added"
    return "changed" if is_written or now.differs(was, is_related=is_related) else None
