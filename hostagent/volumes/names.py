"""Follows paths through a send stream, which moves things about under names of the moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hostagent.volumes.errors import DiffAborted, TooManyPaths

ROOM_BYTES = 512 << 20  # a user may have millions of files, with paths of 4,000 bytes each
PATH_BYTES, NODE_BYTES = 100, 400  # what each takes besides its name


class Room:
    """What one comparison may take of the agent's memory, and whether it is to go on."""

    def __init__(self, is_over: Callable[[], bool], limit_bytes: int = ROOM_BYTES) -> None:
        self._is_over = is_over
        self._left_bytes = limit_bytes

    def for_path(self, path: bytes) -> bytes:
        self.take(len(path) + PATH_BYTES)
        return path

    def take(self, size_bytes: int) -> None:
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise TooManyPaths("too much differs to be listed", "compare versions that are nearer")
        self.check()

    def check(self) -> None:
        if self._is_over():
            raise DiffAborted("the comparison was ended")


@dataclass(slots=True)
class Node:
    """Something that the stream spoke of. `origin` is its path in the parent, None if it is new."""

    origin: bytes | None
    is_touched: bool = False
    is_written: bool = False
    below: dict[bytes, Node | None] = field(default_factory=dict)  # None: nothing has that name any more


class Names:
    def __init__(self, room: Room) -> None:
        self._room = room
        self._root = Node(b"")
        self.gone: set[bytes] = set()  # paths in the parent

    def touch(self, path: bytes) -> None:
        self._node(path).is_touched = True

    def write(self, path: bytes) -> None:
        self._node(path).is_written = True

    def add(self, path: bytes) -> None:
        self._room.take(NODE_BYTES)
        self._put(path, Node(None))

    def remove(self, path: bytes) -> None:
        origin = self._node(path).origin
        if origin is not None:
            self.gone.add(self._room.for_path(origin))
        self._put(path, None)

    def rename(self, source: bytes, target: bytes) -> None:
        node = self._node(source)
        self._put(source, None)
        self._put(target, node)

    def all(self) -> Iterator[tuple[bytes, Node]]:
        """Everything that the stream spoke of and that is there in the end, with its path then."""
        todo = [(b"", self._root)]
        while todo:
            path, node = todo.pop()
            yield path, node
            todo += [(_join(path, name), below) for name, below in node.below.items() if below is not None]

    def _put(self, path: bytes, node: Node | None) -> None:
        directory, _, name = path.rpartition(b"/")
        self._node(directory).below[name] = node

    def _node(self, path: bytes) -> Node:
        node = self._root
        for name in path.split(b"/") if path else []:
            found = node.below.get(name)
            if found is None:
                self._room.take(len(path) + NODE_BYTES)
                found = node.below[name] = Node(None if node.origin is None else _join(node.origin, name))
            node = found
        return node


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
