"""Searches of btrfs's trees. The kernel leaves out what is older: it costs what was changed."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from hostagent.linux.btrfs import SUBVOLUME_INODE

# btrfs_ioctl_search_args_v2: tree, least and last objectid, offset and transid, least and last type, items,
# unused, and the room for the answer, which follows
_ARGS = struct.Struct("=QQQQQQQIIII32xQ")
_HEADER = struct.Struct("=QQQII")  # btrfs_ioctl_search_header: transid, objectid, offset, type, length
_INODE = struct.Struct("=QQQQQI")  # btrfs_inode_item: generation, transid, size, bytes, block group, links
_TREE_SEARCH_V2 = 3 << 30 | _ARGS.size << 16 | 0x94 << 8 | 17
_INODE_ITEM = 1
_ROOT_TREE = 1
_ROOT_BACKREF = 144
_ROOM_BYTES = 64 << 10
_LAST = (1 << 64) - 1
_Key = tuple[int, int, int]  # objectid, type, offset: the order of the tree


def inodes_changed(subvolume: Path, after: int) -> Iterator[int]:
    """Numbers of the inodes that have a name and were changed in a later transaction than `after`, in order.

    What a file's cache still holds is not seen: ask a snapshot, of which everything is written out.
    """
    fd = os.open(subvolume, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        least = (SUBVOLUME_INODE, 0, 0)
        while found := _search(fd, least, after + 1):
            for (inode, kind, _), item in found:
                if kind != _INODE_ITEM:
                    continue
                _, transid, _, _, _, links = _INODE.unpack_from(item)
                if transid > after and links:
                    yield inode
            least = _next(*found[-1][0])
    finally:
        os.close(fd)


def subvolumes(directory: Path) -> Iterator[int]:
    """Ids of all subvolumes of the file system that have a name, in order."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        least = (SUBVOLUME_INODE, 0, 0)
        while found := _search(fd, least, 0, _ROOT_TREE):
            yield from (subvolume for (subvolume, kind, _), _ in found if kind == _ROOT_BACKREF)
            least = _next(*found[-1][0])
    finally:
        os.close(fd)


def _search(fd: int, least: _Key, transid: int, tree: int = 0) -> list[tuple[_Key, memoryview]]:
    """The next items from the least key on, in leaves at least as new as the transaction. Tree 0 is that of
    the subvolume."""
    objectid, kind, offset = least
    buffer = bytearray(_ARGS.size + _ROOM_BYTES)
    _ARGS.pack_into(
        buffer, 0, tree, objectid, _LAST, offset, _LAST, transid, _LAST, kind, 255, 1 << 31, 0, _ROOM_BYTES
    )
    fcntl.ioctl(fd, _TREE_SEARCH_V2, buffer)
    return list(_items(memoryview(buffer)))


def _items(answer: memoryview) -> Iterator[tuple[_Key, memoryview]]:
    count = _ARGS.unpack_from(answer)[9]
    at = _ARGS.size
    for _ in range(count):
        _, objectid, offset, kind, length = _HEADER.unpack_from(answer, at)
        at += _HEADER.size
        yield (objectid, kind, offset), answer[at : at + length]
        at += length


def _next(objectid: int, kind: int, offset: int) -> _Key:
    if offset < _LAST:
        return objectid, kind, offset + 1
    return (objectid, kind + 1, 0) if kind < 255 else (objectid + 1, 0, 0)
