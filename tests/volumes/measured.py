"""Saves, wipes and restores one volume, and prints how much memory that took beyond what it began with:
`python -m tests.volumes.measured <root> <S3 port> <workspace>`."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path
from uuid import UUID

import aiohttp

from hostagent.volumes.objects import SignedObjects
from hostagent.volumes.restore import restore
from hostagent.volumes.store import VolumeStore
from tests.volumes.s3 import Signing, client
from tests.volumes.saving import TENANT, save


async def run(root: Path, port: int, workspace: UUID) -> None:
    store = VolumeStore(root)
    volume = store.volume(TENANT, workspace)
    async with aiohttp.ClientSession() as session:
        objects = SignedObjects(session, Signing(client(port)))
        before = peak_bytes()
        version = await save(objects, volume)
        volume.delete()
        await restore(store, TENANT, workspace, version.sha256, objects)
        print(version.manifest.raw_bytes, peak_bytes() - before)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]), UUID(sys.argv[3])))
