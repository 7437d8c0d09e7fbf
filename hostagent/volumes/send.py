"""A snapshot to the bucket: `btrfs send`, cut, compressed, stored, then the manifest. Constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hostagent.volumes import manifest as manifests
from hostagent.volumes.errors import PathTooLong
from hostagent.volumes.holes import TooManyZeros
from hostagent.volumes.lifting import lift
from hostagent.volumes.manifest import Image, Manifest
from hostagent.volumes.objects import ObjectStore
from hostagent.volumes.segments import Piece
from hostagent.volumes.sender import Sender
from hostagent.volumes.subvolumes import destroy
from hostagent.volumes.threads import blocking
from hostagent.volumes.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Parent:
    """A version that is on this host and in the bucket."""

    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Sent:
    """A version that is whole in the bucket. It counts only when the control plane has committed it."""

    manifest: Manifest
    data: bytes  # the manifest as it is stored

    @property
    def sha256(self) -> str:
        return manifests.name(self.data)


async def send(
    snapshot: Path, parent: Parent | None, objects: ObjectStore, *, made_at: int, image: Image | None = None
) -> Sent:
    """Store the read-only subvolume `snapshot`. Repeatable: the same snapshot with the same arguments gives
    the same objects, and those that are there already are not stored again (a tree with paths of more than
    4,000 bytes excepted: what is sent of it is in full and made anew each time)."""
    try:
        return await _send(snapshot, parent, objects, made_at, image)
    except TooManyZeros:
        return await _send(snapshot, None, objects, made_at, image)
    except PathTooLong:
        lifted = snapshot.with_name(f"{snapshot.name}.lifted.new")
        try:
            await blocking(partial(_lift, snapshot, lifted))
            return await _send(lifted, None, objects, made_at, image)
        finally:
            await blocking(partial(destroy, lifted))


async def _send(
    snapshot: Path, parent: Parent | None, objects: ObjectStore, made_at: int, image: Image | None
) -> Sent:
    segments = []
    sender = Sender(snapshot, parent.path if parent else None)
    try:
        async with Uploads(objects) as uploads:
            while piece := await _next(sender):
                segments.append(piece.segment)
                await uploads.add(piece.segment.sha256, piece.data)
            manifest = Manifest(
                format=1,
                parent=parent.sha256 if parent else None,
                subvolume=str(sender.subvolume),
                image=image,
                raw_bytes=sender.raw_bytes,
                raw_sha256=sender.raw_sha256,
                segments=segments,
                made_at=made_at,
            )
            data = manifests.encode(manifest)
            await uploads.add(manifests.name(data), data)
            await uploads.finish()
    finally:
        await blocking(sender.close)
    return Sent(manifest, data)


def _lift(snapshot: Path, lifted: Path) -> None:
    destroy(lifted)
    lift(snapshot, lifted)


async def _next(sender: Sender) -> Piece | None:
    return await blocking(sender.piece, abort=sender.kill)
