"""The volume of one held sandbox: made ready, saved, put back. One call at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from hostagent import machine
from hostagent.client import Client
from hostagent.errors import ApiError, DriverError
from hostagent.heldwire import FullNext, SandboxWish, VersionReason, VersionRequest
from hostagent.library import Library
from hostagent.shelf import GIB, Kind, Shelf, is_dirty
from hostagent.volumes import standing
from hostagent.volumes.errors import PathTooLong, VolumeTooFull
from hostagent.volumes.manifest import Image
from hostagent.volumes.objects import SignedObjects
from hostagent.volumes.restore import restore
from hostagent.volumes.send import Parent, Sent, send
from hostagent.volumes.signing import Signed
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.threads import blocking
from hostagent.volumes.volume import Pending, Version

NOT_TO_BUILD_ON = ("version_damaged", "chain_too_long")
NOBODY_WAITS: tuple[VersionReason, ...] = ("checkpoint", "end")


@dataclass(frozen=True, slots=True)
class Depot:
    """What all held sandboxes of a host share."""

    store: VolumeStore
    shelf: Shelf
    library: Library
    client: Client


def workspace_of(wish: SandboxWish) -> UUID:
    """Whose files they are; of a scratch volume, a name of its own that is the same after a restart."""
    return wish.volume.id or uuid5(NAMESPACE_OID, wish.sandbox_id)


class HeldVolume:
    def __init__(
        self, depot: Depot, wish: SandboxWish, log: Any, on_failure: Callable[[Exception], None]
    ) -> None:
        """`on_failure` hears of each attempt to store something that failed and is repeated."""
        self._depot = depot
        self._wish = wish  # as it was at first: its head is what the volume began as
        self._log = log
        self._workspace = workspace_of(wish)
        self._volume = depot.store.volume(wish.tenant, self._workspace)
        self._full_next: FullNext = "no"  # not journaled: a stream on a chain that is too long is refused
        self._source = SignedObjects(depot.client.storage, self._sign)
        self._target = SignedObjects(depot.client.storage, self._sign, on_failure=on_failure)

    async def _sign(self, get: Sequence[str], put: Sequence[tuple[str, int]]) -> Signed:
        return await self._depot.client.sign(self._wish, get, put)

    @property
    def is_scratch(self) -> bool:
        return self._wish.volume.id is None

    # --- Before ---

    async def ready(self) -> Path:
        """Have the files that the sandbox begins with. Repeatable; what an earlier try left is used."""
        origin = self._wish.volume.head or self._wish.volume.base
        kind = Kind.SCRATCH if self.is_scratch else Kind.FENCED if self._wish.volume.is_saved else Kind.LOCAL
        is_usable = await blocking(partial(self._is_usable, origin))
        build = await blocking(partial(self._stands_on, is_usable=is_usable))
        if not is_usable:
            await blocking(self._clear)
            await blocking(partial(self._depot.shelf.note, self._volume, kind))
        await self._stand(build)
        if not is_usable:
            await self._fill(origin)
        await blocking(partial(self._depot.shelf.note, self._volume, kind))
        await self.resize(self._wish.disk_gb)
        return self._volume.live

    def _stands_on(self, *, is_usable: bool) -> str:
        """The build of the image that the files belong over; empty where nothing was written yet."""
        wish, here = self._wish, self.build if is_usable else ""
        if here and wish.image_build and here != wish.image_build:
            raise DriverError(
                f"the files here stand on the build {here}, the workspace on {wish.image_build}"
            )
        return wish.image_build or here

    async def _stand(self, build: str) -> None:
        """Have that build here, or any. One that is known is noted first, so that nobody removes it."""
        name, path = self._wish.image, self._volume.path
        if build:
            await blocking(partial(standing.note, path, Image(name, build)))
        found = await self._depot.library.have(name, build)
        if found and not build:
            await blocking(partial(standing.note, path, Image(name, found)))

    @property
    def build(self) -> str:
        """Of the image: what the files stand on, once they are ready."""
        noted = standing.noted(self._volume.path)
        return noted.digest if noted is not None and noted.name == self._wish.image else ""

    def _is_usable(self, origin: str | None) -> bool:
        """Local files that go on from `origin` are as new as it, or newer."""
        volume = self._volume
        return volume.exists and volume.live.exists() and volume.head == origin

    def _clear(self) -> None:
        """Others have gone on from another version. What is not saved is not thrown away for that."""
        if self._volume.exists and is_dirty(self._volume):
            self._depot.shelf.lay_aside(self._volume)

    async def _fill(self, origin: str | None) -> None:
        await blocking(self._volume.make)
        version = None if origin is None else await self._version(origin)
        await blocking(partial(self._volume.make_live, version, self._wish.disk_gb * GIB))

    async def _version(self, sha256: str) -> Version:
        store, tenant = self._depot.store, self._wish.tenant
        if self.is_scratch:  # needs no copy of its own: nothing will be sent that builds on it
            found = await blocking(partial(store.find, tenant, sha256))
            if found is not None:
                return found
        restored = await restore(store, tenant, self._workspace, sha256, self._source)
        self._log.info("restored", versions=len(restored.received), stored=restored.stored_bytes)
        return restored.version

    async def resize(self, disk_gb: int) -> bool:
        """False: it holds more, and keeps its limit."""
        try:
            await blocking(partial(self._volume.resize, disk_gb * GIB))
        except VolumeTooFull as error:
            self._log.warning("volume_not_resized", error=error.message)
            return False
        return True

    # --- Meanwhile ---

    async def size(self) -> tuple[int, bool]:
        """Bytes, and whether something looks changed since the head."""
        return await blocking(lambda: (self._volume.usage()[0], self._volume.looks_changed()))

    async def save(self, reason: VersionReason, sync: int) -> bool:
        """Make a version of what was written before this call; durable on return. False where nothing was
        changed since the last one."""
        try:
            earlier = await blocking(self._volume.pending)
            if earlier is not None:  # of a try that failed: it may be older than what was asked for
                await self._publish(earlier, reason, 0)
            pending = await blocking(self._take)
            if pending is None:
                return False
            if self._is_full_due(reason):
                pending = await self._unchained(pending)
            await self._publish(pending, reason, sync)
            return True
        except PathTooLong:  # always, of this snapshot; the next one may be without that path
            await blocking(self._volume.drop)
            raise

    def _take(self) -> Pending | None:
        return self._volume.take(machine.now_ms(), standing.noted(self._volume.path))

    async def _publish(self, pending: Pending, reason: VersionReason, sync: int) -> None:
        try:
            sent = await self._send_and_commit(pending, reason, sync)
        except ApiError as error:
            if error.code not in NOT_TO_BUILD_ON:
                raise
            sent = await self._send_and_commit(await self._unchained(pending), reason, sync)
        await blocking(partial(self._keep, sent.data))
        self._log.info("saved", reason=reason, manifest=sent.sha256, stored=sent.manifest.stored_bytes)

    async def _unchained(self, pending: Pending) -> Pending:
        """Noted before it is sent: where the answer to a commit is lost, only the same version again is the
        head; any other one is refused."""
        await blocking(self._volume.unchain)
        return replace(pending, parent=None)

    def _is_full_due(self, reason: VersionReason) -> bool:
        """The chain is to begin anew. Not while somebody waits for the save, unless it must be."""
        return self._full_next == "now" or (self._full_next == "later" and reason in NOBODY_WAITS)

    def _parent(self, pending: Pending) -> Parent | None:
        """What the stream may build on: a version of this very workspace."""
        if pending.parent is None or pending.parent.sha256 != self._head():
            return None
        return Parent(pending.parent.sha256, pending.parent.path)

    def _head(self) -> str | None:
        """The workspace's newest version, as far as is known here."""
        head, wished = self._volume.head, self._wish.volume
        return wished.head if head == wished.base else head

    async def _send_and_commit(self, pending: Pending, reason: VersionReason, sync: int) -> Sent:
        image, made_at, client = pending.image, pending.made_at, self._depot.client
        sent = await send(pending.path, self._parent(pending), self._target, made_at=made_at, image=image)
        tree_bytes, _ = await self.size()
        receipt = await client.commit(
            VersionRequest(
                client.boot_epoch, self._wish.sandbox_id, self._wish.epoch, sent.sha256, self._head(), reason,
                sync, made_at, tree_bytes,
            )
        )  # fmt: skip
        self._full_next = receipt.full_next
        return sent

    def _keep(self, data: bytes) -> None:
        """Only now, that the version is durable, may those before it go. The last one stays for those who ask
        what has changed since."""
        before = self._volume.head
        self._volume.keep(data)
        self._volume.retain((before,) if before else ())

    # --- Afterwards ---

    async def put_back(self, *, is_saved: bool) -> None:
        """Nobody uses it any more, and what was to be saved is durable."""
        if self.is_scratch:
            await blocking(self._volume.delete)
        elif self._volume.exists:
            is_cache = is_saved or not await blocking(partial(is_dirty, self._volume))
            kind = Kind.SAVED if is_cache else Kind.LOCAL
            await blocking(partial(self._depot.shelf.note, self._volume, kind))

    async def put_back_fenced(self) -> None:
        """What is not saved must not be, and stays for a while."""
        if self.is_scratch:
            await blocking(self._volume.delete)
        elif self._volume.exists:
            kind = Kind.FENCED if await blocking(partial(is_dirty, self._volume)) else Kind.SAVED
            await blocking(partial(self._depot.shelf.note, self._volume, kind))

    @property
    def is_made(self) -> bool:
        """Whether there is something that can be saved."""
        return self._volume.exists and self._volume.live.exists()
