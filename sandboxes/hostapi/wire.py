"""The wire form of a held sandbox in the host API."""

from __future__ import annotations

from typing import Any

from sandboxes.models import Sandbox
from workspaces import keys


def wish_object(sandbox: Sandbox) -> dict[str, Any]:
    """What a host is to do about a sandbox; read with its workspace and that one's head."""
    return {
        "sandbox_id": sandbox.pk,
        "epoch": sandbox.epoch,
        "revision": sandbox.revision,
        "wish": "end" if sandbox.is_stop_wished else "run",
        "tenant": keys.tenant(sandbox.owner_id),
        "image": sandbox.image,
        "image_build": sandbox.image_build or None,
        "vcpus": sandbox.vcpus,
        "memory_mb": sandbox.memory_mb,
        "disk_gb": sandbox.disk_gb,
        "is_kept": sandbox.is_kept,
        "checkpoint_s": sandbox.checkpoint_s,
        "sync": sandbox.sync_wished,
        "volume": _volume(sandbox),
    }


def _volume(sandbox: Sandbox) -> dict[str, Any]:
    workspace = sandbox.workspace
    head = workspace.head if workspace else None
    return {
        "id": str(workspace.pk) if workspace else None,
        "head": head.manifest if head else None,
        "base": sandbox.base_manifest or None,
        "is_saved": workspace is not None and workspace.is_saved and sandbox.is_synced,
        "epoch": sandbox.epoch,
    }
