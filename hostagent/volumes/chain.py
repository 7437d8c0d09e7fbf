"""The versions that a version builds on, from the bucket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hostagent.volumes import manifest as manifests
from hostagent.volumes.errors import Damaged, ManifestInvalid, ObjectMissing, ObjectWrong
from hostagent.volumes.manifest import MANIFEST_LIMIT_BYTES, Manifest
from hostagent.volumes.objects import ObjectStore

PARALLEL = 8


@dataclass(frozen=True, slots=True)
class Link:
    """A version as the bucket has it."""

    sha256: str
    data: bytes
    manifest: Manifest


async def fetch_chain(
    head: str, objects: ObjectStore, is_here: Callable[[str], bool], hints: Sequence[str] = ()
) -> list[Link]:
    """What must be received to have `head`, first things first: from a full version on, or from one that
    builds on what is here. `hints`: the chain as the control plane knows it. A right one saves a round trip;
    a wrong one changes nothing else."""
    links: list[Link] = []
    fetched = _Ahead(objects, [sha256 for sha256 in hints if not is_here(sha256)])
    async with fetched:
        sha256: str | None = head
        while sha256 is not None and not is_here(sha256):
            links.append(await _link(sha256, fetched))
            sha256 = links[-1].manifest.parent
    return links[::-1]


async def _link(sha256: str, fetched: _Ahead) -> Link:
    try:
        data = await fetched.get(sha256)
        return Link(sha256, data, manifests.decode(data))
    except (ObjectMissing, ObjectWrong, ManifestInvalid) as error:
        raise Damaged(sha256, sha256, error.message) from error


class _Ahead:
    """Manifests that are fetched before they are asked for."""

    def __init__(self, objects: ObjectStore, hints: Sequence[str]) -> None:
        self._objects = objects
        self._slots = asyncio.Semaphore(PARALLEL)
        self._tasks = {sha256: asyncio.create_task(self._fetch(sha256)) for sha256 in hints}

    async def __aenter__(self) -> _Ahead:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def get(self, sha256: str) -> bytes:
        task = self._tasks.get(sha256)
        return await task if task else await self._fetch(sha256)

    async def _fetch(self, sha256: str) -> bytes:
        async with self._slots:
            return await self._objects.get(sha256, MANIFEST_LIMIT_BYTES)
