"""What stands between a stream from the bucket and `btrfs receive`, which runs as root.

The sha256 sums say that a stream is what some host stored, not that this host was honest. `btrfs receive`
takes parent and clone sources from anywhere on the file system by uuid, and the uuids are the stream's. So
every uuid is checked against the manifest and replaced by that of the subvolume we mean; what a send of ours
never contains is refused. `hostagent.volumes.receiver` confines the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hostagent.volumes.errors import StreamInvalid
from hostagent.volumes.stream import Attribute, Buffer, Handler, Kind, Rewriter, command, values

_ALLOWED = frozenset(Kind) - {Kind.UPDATE_EXTENT}


@dataclass(frozen=True, slots=True)
class Subvolume:
    """One subvolume by its two names."""

    stream: UUID  # in the stream
    local: UUID  # for `btrfs receive`


class Guard:
    """Passes one stream on that makes subvolume `own` from `parent`. It will be called `name`."""

    def __init__(self, name: str, own: Subvolume, parent: Subvolume | None) -> None:
        self._name = name.encode()
        self._own = own
        self._parent = parent
        handlers: dict[int, Handler] = dict.fromkeys((Kind.SUBVOL, Kind.SNAPSHOT), self._begin)
        handlers[Kind.CLONE] = self._clone
        self._rewriter = Rewriter(handlers, _ALLOWED)
        self._has_begun = False

    def feed(self, chunk: bytes) -> list[Buffer]:
        parts = self._rewriter.feed(chunk)
        if self._rewriter.commands and not self._has_begun:
            raise StreamInvalid("the stream does not begin with its subvolume")
        return parts

    def finish(self) -> None:
        self._rewriter.finish()

    def _begin(self, data: bytes, body: int, end: int) -> bytes:
        if self._has_begun or self._rewriter.commands != 1:
            raise StreamInvalid("the stream makes a second subvolume")
        self._has_begun = True
        found = values(data, body, end)
        if found.get(Attribute.UUID) != self._own.stream.bytes:
            raise StreamInvalid("the stream is not of the subvolume that its manifest names")
        expected = self._parent.stream.bytes if self._parent else None
        if found.get(Attribute.CLONE_UUID) != expected:
            raise StreamInvalid("the stream does not build on the version that its manifest names")
        found[Attribute.PATH] = self._name
        found[Attribute.UUID] = self._own.local.bytes
        if self._parent is None:
            return command(Kind.SUBVOL, *found.items())
        found[Attribute.CLONE_UUID] = self._parent.local.bytes
        return command(Kind.SNAPSHOT, *found.items())

    def _clone(self, data: bytes, body: int, end: int) -> bytes:
        found = values(data, body, end)
        source = found.get(Attribute.CLONE_UUID)
        for subvolume in (self._own, self._parent):
            if subvolume is not None and source == subvolume.stream.bytes:
                found[Attribute.CLONE_UUID] = subvolume.local.bytes
                return command(Kind.CLONE, *found.items())
        raise StreamInvalid("the stream copies from a subvolume that it does not build on")
