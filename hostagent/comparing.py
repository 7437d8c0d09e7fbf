"""Two versions side by side, away from the volumes that sandboxes use.

compared/volumes/<tenant>/<workspace>/    as in `VolumeStore`: only copies, each gone soon after its last use
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from uuid import UUID
from weakref import WeakValueDictionary

from hostagent.questionwire import Done, Question, Totals
from hostagent.volumes.diff import Difference, are_related, diff
from hostagent.volumes.errors import StorageUnavailable, VolumeMissing
from hostagent.volumes.objects import ObjectStore
from hostagent.volumes.restore import restore
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.threads import blocking
from hostagent.volumes.volume import Version, Volume

DIRECTORY = "compared"
KEEP_S = 300.0  # who looks at one difference often looks at the next one
KEPT_LIMIT = 4  # workspaces whose copies stay so long
LISTED_LIMIT = 10_000  # paths of one answer
LISTED_LIMIT_BYTES = 1 << 20
SPARE_BYTES = 1 << 30  # of the file system, which running sandboxes need

Key = tuple[str, UUID]


class Comparer:
    """Copies are snapshots where the host has a version, otherwise restored from the bucket."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store
        self._copies = VolumeStore(store.root / DIRECTORY)
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._used: OrderedDict[Key, float] = OrderedDict()  # monotonic; the longest unused first

    def open(self) -> None:
        """Remove what an earlier agent left. Blocks; once, before anything else."""
        self._copies.root.mkdir(mode=0o700, exist_ok=True)
        self._copies.open()
        for tenant, workspace in self._copies.volumes():
            self._copies.volume(tenant, workspace).delete()

    async def compare(self, question: Question, objects: ObjectStore) -> Done:
        """Raises VolumeError and OSError."""
        key = question.tenant, question.workspace
        async with self._lock(key):
            self._use(key)
            old = await self._have(question, question.old, None, objects)
            new = await self._have(question, question.new, old, objects)
            is_over = threading.Event()
            found = await blocking(
                partial(diff, old.path, new.path, is_over=is_over.is_set), abort=is_over.set
            )
            volume = self._copies.volume(*key)
            await blocking(partial(volume.retain, (old.sha256, new.sha256)))
            self._use(key)
        return answer_of(found)

    async def forget(self) -> None:
        """Remove the copies that nobody has used for a while, and the oldest of too many."""
        for key, used_at in list(self._used.items()):
            if len(self._used) <= KEPT_LIMIT and time.monotonic() - used_at < KEEP_S:
                return
            lock = self._lock(key)
            if lock.locked():
                continue
            async with lock:
                await blocking(self._copies.volume(*key).delete)
                self._used.pop(key, None)

    def _lock(self, key: Key) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _use(self, key: Key) -> None:
        self._used[key] = time.monotonic()
        self._used.move_to_end(key)

    async def _have(
        self, question: Question, sha256: str, beside: Version | None, objects: ObjectStore
    ) -> Version:
        """A copy of the version. Two copies compare exactly where one was made from the other, or both from
        a third one; so what is here is used only where it is such a relative of `beside`."""
        found = await blocking(partial(self._local, question, sha256, beside))
        if found is not None:
            return found
        free = shutil.disk_usage(self._copies.root).free
        if free < question.tree_bytes + SPARE_BYTES:
            raise StorageUnavailable(f"there is no room to restore version {sha256[:12]}: {free} bytes")
        restored = await restore(self._copies, question.tenant, question.workspace, sha256, objects)
        return restored.version

    def _local(self, question: Question, sha256: str, beside: Version | None) -> Version | None:
        volume = self._copies.volume(question.tenant, question.workspace)
        volume.make()
        if volume.has(sha256):
            version = volume.version(sha256)
            if beside is None or are_related(beside.path, version.path):
                return version
            volume.retain((beside.sha256,))  # else `restore` would take it for what is wanted
        return self._copied(volume, question.tenant, sha256, beside)

    def _copied(self, volume: Volume, tenant: str, sha256: str, beside: Version | None) -> Version | None:
        version = self._store.find(tenant, sha256)
        # A sandbox that saves meanwhile drops its older versions.
        with contextlib.suppress(VolumeMissing, FileNotFoundError):
            if version is not None and (beside is None or are_related(beside.path, version.path)):
                return volume.adopt_version(version)
        return None


def answer_of(found: Difference) -> Done:
    """As it goes over the wire. Where there is too much, every kind is heard, the small ones in full."""
    kinds = {
        name: [path.encode("utf-8", "surrogateescape") for path in getattr(found, name)]
        for name in ("added", "changed", "removed")
    }
    totals = Totals(**{name: len(paths) for name, paths in kinds.items()})
    left, left_bytes = LISTED_LIMIT, LISTED_LIMIT_BYTES
    listed: dict[str, bytes] = {}
    for turn, name in enumerate(sorted(kinds, key=lambda name: len(kinds[name]))):
        shares = len(kinds) - turn
        first = _first(kinds[name], left // shares, left_bytes // shares)
        left -= len(first)
        listed[name] = b"\0".join(first)
        left_bytes -= len(listed[name])
    return Done(**listed, totals=totals)


def _first(paths: Sequence[bytes], limit: int, limit_bytes: int) -> list[bytes]:
    """As many as fit, with a byte between them."""
    first: list[bytes] = []
    for path in paths[:limit]:
        limit_bytes -= len(path) + 1
        if limit_bytes < 0:
            break
        first.append(path)
    return first
