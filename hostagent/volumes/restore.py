"""A version from the bucket to this host: downloads, checks and `btrfs receive` at the same time.

All is received into a staging subvolume. The version appears in its volume, by snapshot, when every byte of
the chain has been checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from hostagent.volumes.chain import Link, fetch_chain
from hostagent.volumes.downloads import Downloads
from hostagent.volumes.errors import VolumeMissing
from hostagent.volumes.filling import Filling
from hostagent.volumes.objects import ObjectStore
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.threads import blocking
from hostagent.volumes.volume import Version, Volume


@dataclass(frozen=True, slots=True)
class Restored:
    version: Version
    received: tuple[str, ...]  # the versions that were not on this host
    stored_bytes: int  # that were fetched for them


async def restore(
    store: VolumeStore,
    tenant: str,
    workspace: UUID,
    head: str,
    objects: ObjectStore,
    hints: Sequence[str] = (),
) -> Restored:
    """Have version `head` in the volume of `workspace`, which is made if need be. What the tenant's other
    volumes have of its chain is taken from there. `hints`: see `fetch_chain`. Any number of times at once."""

    def is_here(sha256: str) -> bool:
        return store.find(tenant, sha256) is not None

    volume = store.volume(tenant, workspace)
    links = await fetch_chain(head, objects, is_here, hints)
    base = await blocking(partial(_base, store, tenant, links[0].manifest.parent if links else head))
    if not links and base is not None:
        version = await blocking(partial(_adopt_local, volume, base))
    else:
        version = await _receive(store, volume, base, links, objects)
    stored_bytes = sum(len(link.data) + link.manifest.stored_bytes for link in links)
    return Restored(version, tuple(link.sha256 for link in links), stored_bytes)


async def _receive(
    store: VolumeStore, volume: Volume, base: Version | None, links: list[Link], objects: ObjectStore
) -> Version:
    filling = Filling(store.staging(), base, links)
    try:
        async with Downloads(objects, links) as downloads:
            await blocking(filling.start)
            for link in links:
                filling.begin(link)
                for segment in link.manifest.segments:
                    data = await downloads.next()
                    await blocking(partial(filling.add, segment, data), abort=filling.kill)
                filling.end()
            await blocking(filling.finish, abort=filling.kill)
        return await blocking(partial(_adopt_received, volume, filling, links[-1].data))
    finally:
        await blocking(filling.close)


def _base(store: VolumeStore, tenant: str, sha256: str | None) -> Version | None:
    if sha256 is None:
        return None
    if (version := store.find(tenant, sha256)) is None:
        raise VolumeMissing(f"version {sha256[:12]} was removed from this host just now", "try again")
    return version


def _adopt_local(volume: Volume, version: Version) -> Version:
    volume.make()
    return volume.adopt_version(version)


def _adopt_received(volume: Volume, filling: Filling, data: bytes) -> Version:
    volume.make()
    return volume.adopt(filling.path, data)
