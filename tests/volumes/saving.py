"""Saves a volume as an agent does, with a control plane that always agrees."""

from __future__ import annotations

from hostagent.volumes.send import Parent, send
from hostagent.volumes.volume import Version, Volume
from tests.volumes.conftest import Host


async def save(host: Host, volume: Volume, made_at: int = 1) -> Version:
    pending = volume.take(made_at, None)
    assert pending is not None
    parent = Parent(pending.parent.sha256, pending.parent.path) if pending.parent else None
    sent = await send(pending.path, parent, host.objects, made_at=pending.made_at)
    return volume.keep(sent.data)
