"""The commit record: what the bucket says of a version, enough to rebuild its row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from workspaces.manifests import Sha256, UnixMs, canonical
from workspaces.models import Version
from workspaces.states import VersionReason

RECORD_LIMIT_BYTES = 64 * 1024


class CommitRecord(Struct, frozen=True):
    format: Annotated[int, Meta(ge=1, le=1)]
    workspace: UUID
    name: Annotated[str, Meta(min_length=1, max_length=63)]
    owner: int
    number: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    manifest: Sha256
    parent_number: int | None  # of the version that this one's stream continues, in this workspace
    reason: VersionReason
    disk_gb: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    image: Annotated[str, Meta(max_length=63)]
    tree_bytes: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    made_at: UnixMs
    committed_at: UnixMs


_decoder = msgspec.json.Decoder(CommitRecord)


def record_body(version: Version) -> bytes:
    """The record of a version read with its workspace and parent. The same version, the same bytes."""
    workspace, parent = version.workspace, version.parent
    return canonical(
        {
            "format": 1,
            "workspace": str(workspace.pk),
            "name": workspace.name,
            "owner": workspace.owner_id,
            "number": version.number,
            "manifest": version.manifest,
            "parent_number": parent.number if parent and parent.workspace_id == workspace.pk else None,
            "reason": version.reason,
            "disk_gb": workspace.disk_gb,
            "image": workspace.image,
            "tree_bytes": version.tree_bytes,
            "made_at": unix_ms(version.made_at),
            "committed_at": unix_ms(version.committed_at),
        }
    )


def record_of(body: bytes) -> CommitRecord:
    """Raises msgspec.DecodeError or ValidationError with what is wrong."""
    record: CommitRecord = _decoder.decode(body)
    return record


def unix_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def time_of(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
