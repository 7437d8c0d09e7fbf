"""The wire form of a held sandbox in the host API."""

from __future__ import annotations

from typing import Any

from sandboxes.models import Sandbox
from ssh.models import Door
from ssh.selectors import doors_of, locks_of, place_of
from workspaces import keys


def wish_objects(sandboxes: list[Sandbox]) -> list[dict[str, Any]]:
    """What a host is to do about sandboxes; read with their workspaces and those ones' heads."""
    places = [place_of(sandbox.workspace_id, sandbox.pk) for sandbox in sandboxes]
    doors = doors_of(places)
    return [_wish(sandbox, doors.get(place)) for sandbox, place in zip(sandboxes, places, strict=True)]


def _wish(sandbox: Sandbox, door: Door | None) -> dict[str, Any]:
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
        "ssh": _ssh(door) if door else None,
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


def _ssh(door: Door) -> dict[str, Any]:
    locks = locks_of(door)
    return {
        "host_key": locks.host_key,
        "authorized_keys": list(locks.authorized_keys),
        "digest": locks.digest,
    }
