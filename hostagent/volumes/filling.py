"""A chain of streams into a staging subvolume, every byte checked. Everything here blocks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID, uuid4

from hostagent.linux import btrfs
from hostagent.volumes.chain import Link
from hostagent.volumes.errors import Damaged, ObjectWrong, PathTooLong, StreamInvalid
from hostagent.volumes.guard import Guard, Subvolume
from hostagent.volumes.lifting import is_lifted, unlift
from hostagent.volumes.manifest import Segment
from hostagent.volumes.receiver import Receiver
from hostagent.volumes.segments import unpack
from hostagent.volumes.subvolumes import destroy
from hostagent.volumes.volume import Version


class Filling:
    """Receives `links`, which build on `base`, into `directory`. Each link's segments are added in order."""

    def __init__(self, directory: Path, base: Version | None, links: list[Link]) -> None:
        self._directory = directory
        self._base = base
        self._last = links[-1]
        self._receiver = Receiver(directory)
        self._count = 0
        self._parent: Subvolume | None = None

    @property
    def path(self) -> Path:
        """After `finish`: the subvolume of the last link."""
        return self._directory / str(self._count)

    def start(self) -> None:
        btrfs.subvolume_create(self._directory)
        if self._base is not None:
            copy = self._directory / "base"
            btrfs.subvolume_snapshot(self._base.path, copy, is_read_only=True)
            local = btrfs.subvolume_info(copy).uuid
            self._parent = Subvolume(UUID(self._base.manifest.subvolume), local)
        self._receiver.start()

    def begin(self, link: Link) -> None:
        stream = UUID(link.manifest.subvolume)
        # Only the last one keeps its name. The others get one that nobody can have guessed or used before.
        own = Subvolume(stream, stream if link is self._last else uuid4())
        self._count += 1
        self._link = link
        self._guard = Guard(str(self._count), own, self._parent)
        self._digest = hashlib.sha256()
        self._parent = own

    def add(self, segment: Segment, data: bytes) -> None:
        try:
            raw = unpack(segment, data)
            self._digest.update(raw)
            self._receiver.write(self._guard.feed(raw))
        except ObjectWrong as error:
            raise Damaged(self._link.sha256, segment.sha256, error.message) from error
        except (StreamInvalid, PathTooLong) as error:
            raise self._damaged(error.message) from error

    def end(self) -> None:
        """All segments of the link were added."""
        if self._digest.hexdigest() != self._link.manifest.raw_sha256:
            raise self._damaged("the stream has another sha256")
        try:
            self._guard.finish()
        except StreamInvalid as error:
            raise self._damaged(error.message) from error

    def finish(self) -> None:
        self._receiver.finish()
        if is_lifted(self.path):
            received = self.path
            self._count += 1
            try:
                unlift(received, self.path)
            except (StreamInvalid, OSError) as error:  # names that the index gives and the tree has not
                raise self._damaged(str(error)) from error

    def kill(self) -> None:
        self._receiver.kill()

    def close(self) -> None:
        """No process is left, and nothing of the directory."""
        self._receiver.close()
        destroy(self._directory)

    def _damaged(self, what: str) -> Damaged:
        return Damaged(self._link.sha256, self._link.sha256, what)
