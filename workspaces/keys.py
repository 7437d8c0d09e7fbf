"""Where things lie in the bucket (docs/reference/object-store.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

IMAGES = "images"  # the tenant that every host may read
_OBJECT = re.compile(r"u([0-9]{1,18})/objects/([0-9a-f]{64})")
_RECORD = re.compile(r"u([0-9]{1,18})/workspaces/([0-9a-f-]{36})/([0-9]{10})\.json")


def tenant(owner_id: int) -> str:
    return f"u{owner_id}"


def objects_prefix(tenant: str) -> str:
    return f"{tenant}/objects/"


def object_key(tenant: str, sha256: str) -> str:
    return f"{objects_prefix(tenant)}{sha256}"


def records_prefix(owner_id: int) -> str:
    return f"u{owner_id}/workspaces/"


def record_key(owner_id: int, workspace_id: UUID, number: int) -> str:
    return f"{records_prefix(owner_id)}{workspace_id}/{number:010d}.json"


def tombstone_key(owner_id: int, workspace_id: UUID) -> str:
    """Says that the workspace was deleted, while others still need versions of it."""
    return f"{records_prefix(owner_id)}{workspace_id}/deleted.json"


def files_prefix(owner_id: int) -> str:
    return f"u{owner_id}/files/"


def file_key(owner_id: int, file_id: UUID) -> str:
    return f"{files_prefix(owner_id)}{file_id}"


@dataclass(frozen=True, slots=True)
class RecordKey:
    owner_id: int
    workspace_id: UUID
    number: int


def sha256_of(key: str) -> str | None:
    """The name of the object at this key; None where it is no object of a user."""
    found = _OBJECT.fullmatch(key)
    return found[2] if found else None


def record_of(key: str) -> RecordKey | None:
    found = _RECORD.fullmatch(key)
    return RecordKey(int(found[1]), UUID(found[2]), int(found[3])) if found else None
