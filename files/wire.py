"""The wire form of uploads."""

from __future__ import annotations

from typing import Any

from files.models import Upload
from workspaces import keys, objectstore
from workspaces.wire import stamp


def file_object(upload: Upload) -> dict[str, Any]:
    return {
        "file_id": str(upload.pk),
        "name": upload.name,
        "size": upload.size_bytes,
        "sha256": upload.sha256,
        "created_at": stamp(upload.created_at),
        "expires_at": stamp(upload.expires_at),
    }


def file_assignment(upload: Upload) -> dict[str, Any]:
    """A file as a host learns of it (docs/reference/host-api.md). The address is good for a while."""
    return {
        "name": upload.name,
        "sha256": upload.sha256,
        "bytes": upload.size_bytes,
        "url": objectstore.sign_get(keys.file_key(upload.owner_id, upload.pk)),
    }
