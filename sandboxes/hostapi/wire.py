"""The wire form of a held sandbox in the host API."""

from __future__ import annotations

from typing import Any

from django.conf import settings

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
        "sleep": _sleep(sandbox),
        "wake": sandbox.wake_wished,
        "startup": _startup(sandbox),
        "ssh": _ssh(door) if door else None,
    }


def _volume(sandbox: Sandbox) -> dict[str, Any]:
    workspace = sandbox.workspace
    head = workspace.head if workspace else None
    return {
        "id": str(workspace.pk) if workspace else None,
        "head": head.manifest if head else None,
        "base": sandbox.base_manifest or None,
        "is_saved": _is_saved(sandbox),
        "epoch": sandbox.epoch,
    }


def _is_saved(sandbox: Sandbox) -> bool:
    return sandbox.workspace is not None and sandbox.workspace.is_saved and sandbox.is_synced


def _sleep(sandbox: Sandbox) -> dict[str, Any] | None:
    """What is not saved is not stopped: its files would be gone."""
    idle_s = sandbox.idle_s or settings.IDLE_S
    if not (sandbox.is_kept and sandbox.sleeps and idle_s):
        return None
    return {
        "idle_s": idle_s,
        "cpu_percent": settings.IDLE_CPU_PERCENT,
        "stop_s": (settings.IDLE_STOP_S or None) if _is_saved(sandbox) else None,
        "with_runs": sandbox.sleeps_with_runs,
    }


def _startup(sandbox: Sandbox) -> dict[str, Any] | None:
    if not (sandbox.made_for and sandbox.startup_command):
        return None
    return {"command": sandbox.startup_command, "environment": sandbox.startup_environment}


def _ssh(door: Door) -> dict[str, Any]:
    locks = locks_of(door)
    return {
        "host_key": locks.host_key,
        "authorized_keys": list(locks.authorized_keys),
        "digest": locks.digest,
    }
