"""What differs between two versions that are on this host, in paths as the sandbox sees them.

A stream without data names what was changed; the two snapshots say what it was and is. So it costs what the
change costs, not what the volume does.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hostagent.linux import btrfs
from hostagent.linux.launch import ENVIRONMENT
from hostagent.volumes import pipe
from hostagent.volumes.errors import PathTooLong, SendFailed
from hostagent.volumes.names import Names
from hostagent.volumes.stream import Attribute, Handler, Kind, Rewriter, values

UPPER = b"upper/"
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


def diff(old: Path, new: Path) -> Difference:
    """Between two read-only snapshots of volumes. A changed file with several names (hard links) is found
    under one of them at least, which may be a new one. Blocks: call it in a thread."""
    names = _names(old, new)
    found = Difference()
    written = {path for path, node in names.all() if node.is_written}
    lists = {"added": found.added, "changed": found.changed, "removed": found.removed}
    for path in sorted(_candidates(names, old, new)):
        if path.startswith(UPPER):
            name = os.fsdecode(path)
            was, now = _Entry.of(old / name), _Entry.of(new / name)
            if (change := _change(was, now, is_written=path in written)) is not None:
                lists[change].append(name.removeprefix(os.fsdecode(UPPER)))
    return found


def _names(old: Path, new: Path) -> Names:
    names = Names()
    rewriter = Rewriter(_handlers(names))
    command = ["btrfs", "--quiet", "send", "--no-data", "-p", str(old), str(new)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        try:
            output = pipe.enlarged(process.stdout)
            while chunk := os.read(output, pipe.PIPE_BYTES):
                rewriter.feed(chunk)
            said = pipe.end(process)
        finally:
            process.kill()
    if process.returncode != 0:
        raise PathTooLong(said) if "File name too long" in said else SendFailed(f"btrfs send: {said}")
    rewriter.finish()
    return names


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


def _candidates(names: Names, old: Path, new: Path) -> set[bytes]:
    """Paths that may differ, in either of the two."""
    found = set(names.gone)
    for path in names.gone:
        found |= _another_name(old, path, new)
    for path, node in names.all():
        if node.is_touched or node.is_written or node.origin != path:
            found.add(path)
        if node.origin is not None and node.origin != path:  # moved, with all that is below
            found |= {node.origin, *_below(old, node.origin), *_below(new, path)}
    return found


def _another_name(old: Path, path: bytes, new: Path) -> set[bytes]:
    """The stream may have changed a file under a name that it then took away."""
    try:
        status = (old / os.fsdecode(path)).lstat()
        return {btrfs.inode_path(new, status.st_ino)} if status.st_nlink > 1 else set()
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _below(root: Path, path: bytes) -> Iterator[bytes]:
    todo = [path]
    while todo:
        directory = todo.pop()
        try:
            entries = list(os.scandir(os.fsencode(root) + b"/" + directory))
        except (NotADirectoryError, FileNotFoundError):
            continue
        for entry in entries:
            below = directory + b"/" + entry.name
            yield below
            if entry.is_dir(follow_symlinks=False):
                todo.append(below)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one version has at a path."""

    path: Path
    status: os.stat_result
    xattrs: dict[str, bytes]

    @classmethod
    def of(cls, path: Path) -> _Entry | None:
        try:
            status = path.lstat()
            names = os.listxattr(path, follow_symlinks=False)
            xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(path, status, xattrs)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_whiteout(self) -> bool:
        return stat.S_ISCHR(self.status.st_mode) and self.status.st_rdev == 0

    def has(self, names: tuple[str, ...]) -> bool:
        return any(name in self.xattrs for name in names)

    def differs(self, other: _Entry) -> bool:
        one, two = self.status, other.status
        if (one.st_mode, one.st_uid, one.st_gid) != (two.st_mode, two.st_uid, two.st_gid):
            return True
        if self.xattrs != other.xattrs:
            return True
        if self.is_directory:
            return False
        # Another inode under the old name is another file, even where it looks the same.
        return (one.st_ino, one.st_size, one.st_mtime_ns) != (two.st_ino, two.st_size, two.st_mtime_ns)


def _change(was: _Entry | None, now: _Entry | None, *, is_written: bool) -> str | None:
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
    return "changed" if is_written or now.differs(was) else None
