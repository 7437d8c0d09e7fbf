"""Saves a volume as an agent does, with a control plane that always agrees."""

from __future__ import annotations

from hostagent.volumes.objects import ObjectStore
from hostagent.volumes.send import Parent, send
from hostagent.volumes.volume import Version, Volume

TENANT = "u1"


async def save(objects: ObjectStore, volume: Volume, made_at: int = 1) -> Version:
    assert volume.take(made_at, None) is not None
    return await send_pending(volume, objects)


async def send_pending(volume: Volume, objects: ObjectStore) -> Version:
    pending = volume.pending()
    assert pending is not None
    parent = Parent(pending.parent.sha256, pending.parent.path) if pending.parent else None
    sent = await send(pending.path, parent, objects, made_at=pending.made_at)
    return volume.keep(sent.data)
