"""Messages about held sandboxes and their volumes (docs/reference/host-api.md), checked field by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from hostagent.fields import (
    BuildName,
    Count,
    DiskGb,
    Epoch,
    ImageName,
    MemoryMb,
    Revision,
    SandboxId,
    Sha256,
    Stages,
    Tenant,
    UnixMs,
    Vcpus,
)


class VolumeWish(Struct, frozen=True, kw_only=True):
    """What a held sandbox writes to."""

    id: UUID | None  # the workspace; None: scratch, dropped at the end
    head: Sha256 | None  # the version that it begins as
    base: Sha256 | None  # the version that it begins as where there is no head
    is_saved: bool  # in the bucket, at the end and now and then


class SandboxKey(Struct, frozen=True):
    sandbox_id: SandboxId
    epoch: Epoch


class SandboxWish(SandboxKey, frozen=True, kw_only=True):
    """A sandbox that holds a volume, and runs in it."""

    revision: Revision
    wish: Literal["run", "end"]
    tenant: Tenant
    image: ImageName
    image_build: BuildName | None = None  # stand on this very build; None: on what is here
    vcpus: Vcpus
    memory_mb: MemoryMb
    disk_gb: DiskGb
    is_kept: bool  # outlives its last run
    checkpoint_s: Count  # how often it is saved by itself; 0: never
    sync: Count = 0  # how many syncs were asked for
    volume: VolumeWish


SandboxPhase = Literal["accepted", "preparing", "running", "ending"]


class ReportedSandbox(Struct, frozen=True):
    sandbox_id: str
    epoch: int
    phase: SandboxPhase


class SandboxRunning(Struct, frozen=True, tag="sandbox"):
    sandbox_id: str
    epoch: int
    at: int
    stages: Stages
    state: Literal["running"] = "running"


class SandboxEnding(Struct, frozen=True, tag="sandbox"):
    """Nothing new can run in it. Its last version may take a while."""

    sandbox_id: str
    epoch: int
    at: int
    state: Literal["ending"] = "ending"


SandboxEnd = Literal[
    "done", "stopped", "oom", "disk_full", "lost", "start_failed", "restore_failed", "damaged"
]


class DamagedObject(Struct, frozen=True):
    manifest: str  # of the version that cannot be restored
    object: str


class SandboxEnded(Struct, frozen=True, tag="sandbox"):
    sandbox_id: str
    epoch: int
    at: int
    reason: SandboxEnd
    message: str
    damaged: DamagedObject | None = None
    state: Literal["ended"] = "ended"


SaveFailure = Literal["unreachable", "refused", "failed"]


class SaveTrouble(Struct, frozen=True):
    """Saving has failed since then, and goes on being tried."""

    since: int  # Unix ms
    kind: SaveFailure


class VolumeSize(Struct, frozen=True, tag="volume"):
    sandbox_id: str
    epoch: int
    tree_bytes: int
    dirty: bool
    sync: int  # the wish that it answers: nothing has changed since the head; 0: none
    trouble: SaveTrouble | None = None


class ObjectsRequest(Struct, frozen=True):
    boot_epoch: int
    sandbox_id: str
    epoch: int
    get: Sequence[str]
    put: Sequence[tuple[str, int]]


VersionReason = Literal["sync", "checkpoint", "stop", "end"]


class VersionRequest(Struct, frozen=True):
    """A version whose objects are all in the bucket."""

    boot_epoch: int
    sandbox_id: str
    epoch: int
    manifest: str
    parent: str | None  # the head that it replaces
    reason: VersionReason
    sync: int  # the wish that it answers; 0: none
    made_at: int
    tree_bytes: int


FullNext = Literal["no", "later", "now"]


class Receipt(Struct, frozen=True):
    """The version is durable."""

    version: Annotated[int, Meta(ge=1)]
    manifest: Sha256
    durable_at: UnixMs
    full_next: FullNext = "no"  # whether the next one is to be a full stream


_wish = msgspec.json.Decoder(SandboxWish)
_sandbox_key = msgspec.json.Decoder(SandboxKey)


def wish_of(raw: msgspec.Raw) -> SandboxWish:
    """Raises `msgspec.ValidationError` with what is wrong."""
    return _wish.decode(raw)


def sandbox_key_of(raw: msgspec.Raw) -> SandboxKey | None:
    """Whose wish it is, if at least that can be read."""
    try:
        return _sandbox_key.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
