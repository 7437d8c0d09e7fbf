"""Trees that are too deep for `btrfs send`: directories far down are moved up for the stream, and back after.

`lift` renames each directory whose path gets long to `lifted/<number>` in the volume's root, top down, and
writes into `lifted/index` where it came from. `unlift` does the same backwards. An attribute of the root,
which no user can set, tells that it was done.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hostagent.linux import btrfs
from hostagent.volumes.errors import StreamInvalid

LIFTED_FROM_BYTES = 1500  # a path, before it is lifted; well below the limit with any name after it
_MARK = "trusted.mags.lifted"
_DIRECTORY = b"lifted"
_INDEX = b"lifted/index"


class _Lifted(msgspec.Struct, frozen=True, array_like=True):
    parent: str  # base64; its path may itself begin with lifted/<number>
    name: str


def lift(snapshot: Path, path: Path) -> None:
    """Make `path` a read-only copy of `snapshot` that can be sent."""
    btrfs.subvolume_snapshot(snapshot, path, is_read_only=False)
    lifted: list[_Lifted] = []
    with _opened(path) as root:
        os.mkdir(_DIRECTORY, 0o700, dir_fd=root)
        todo = [b""]
        while todo:
            directory = todo.pop()
            with _opened_below(root, directory) as fd:
                for name in _directories(fd):
                    below = directory + b"/" + name if directory else name
                    if len(below) > LIFTED_FROM_BYTES:
                        below = b"%s/%d" % (_DIRECTORY, len(lifted))
                        lifted.append(_Lifted(_text(directory), _text(name)))
                        with _times_kept(fd):
                            os.rename(name, below, src_dir_fd=fd, dst_dir_fd=root)
                    if below != _DIRECTORY:
                        todo.append(below)
        _write(root, msgspec.json.encode(lifted))
    os.setxattr(path, _MARK, b"1")
    btrfs.subvolume_set_read_only(path)


def is_lifted(path: Path) -> bool:
    return _MARK in os.listxattr(path)


def unlift(snapshot: Path, path: Path) -> None:
    """Make `path` what the received `snapshot` was before it was lifted. Its index is not to be trusted."""
    btrfs.subvolume_snapshot(snapshot, path, is_read_only=False)
    with _opened(path) as root:
        lifted = _read(root)
        for number, entry in reversed(list(enumerate(lifted))):
            parent, name = base64.b64decode(entry.parent), base64.b64decode(entry.name)
            if b"/" in name or name in (b"", b".", b".."):
                raise StreamInvalid(f"a lifted directory was called {name!r}")
            with _opened_below(root, parent) as fd, _times_kept(fd):
                os.rename(b"%s/%d" % (_DIRECTORY, number), name, src_dir_fd=root, dst_dir_fd=fd)
        os.unlink(_INDEX, dir_fd=root)
        os.rmdir(_DIRECTORY, dir_fd=root)
    os.removexattr(path, _MARK)
    btrfs.subvolume_set_read_only(path)


def _directories(fd: int) -> list[bytes]:
    with os.scandir(fd) as entries:  # of a descriptor: names as text
        return [os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened_below(root: int, path: bytes) -> Iterator[int]:
    """A directory by its path from `root`, without leaving it: no links, no `..`."""
    fd = os.dup(root)
    try:
        for name in path.split(b"/") if path else ():
            if name in (b"", b".", b".."):
                raise StreamInvalid(f"no path of a volume: {path!r}")
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _times_kept(fd: int) -> Iterator[None]:
    """Of a directory that loses or gets a name."""
    status = os.fstat(fd)
    yield
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _text(name: bytes) -> str:
    return base64.b64encode(name).decode()


def _write(root: int, data: bytes) -> None:
    fd = os.open(
        _INDEX, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root
    )
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def _read(root: int) -> list[_Lifted]:
    with _opened_below(root, _DIRECTORY) as directory:
        fd = os.open(b"index", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(fd, "rb") as file:
            try:
                return msgspec.json.decode(file.read(), type=list[_Lifted])
            except msgspec.DecodeError as error:
                raise StreamInvalid(f"a bad index of lifted directories: {error}") from error
