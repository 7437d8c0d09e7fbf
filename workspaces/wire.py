"""The wire form of workspaces and versions (WIRE.md section 2)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from workspaces import hooks, selectors
from workspaces.models import Version, Workspace
from workspaces.services import VersionDiff


def workspace_objects(workspaces: Iterable[Workspace]) -> list[dict[str, Any]]:
    """Workspaces as `selectors` reads them for people."""
    found = list(workspaces)
    jobs = hooks.active_jobs([workspace.pk for workspace in found])
    return [_object(workspace, jobs.get(workspace.pk)) for workspace in found]


def workspace_object(workspace: Workspace) -> dict[str, Any]:
    return workspace_objects([workspace])[0]


def version_objects(versions: Iterable[Version]) -> list[dict[str, Any]]:
    """Versions of one workspace, read with it."""
    found = list(versions)
    broken = selectors.versions_broken(found[0].workspace.owner_id) if found else set()
    return [_version(version, is_damaged=version.pk in broken) for version in found]


def version_object(version: Version) -> dict[str, Any]:
    return version_objects([version])[0]


def _version(version: Version, *, is_damaged: bool) -> dict[str, Any]:
    return {
        "version": version.number,
        "sha256": version.manifest,
        "is_head": version.pk == version.workspace.head_id,
        "reason": version.reason,
        "size_bytes": version.tree_bytes,
        "stored_bytes": version.stored_bytes,
        "made_at": stamp(version.made_at),
        "durable_at": stamp(version.durable_at),
        "is_damaged": is_damaged,
    }


def diff_object(before: Version, after: Version, diff: VersionDiff) -> dict[str, Any]:
    kinds = {"added": diff.added, "changed": diff.changed, "removed": diff.removed}
    return {
        "from": before.number,
        "to": after.number,
        **{name: kind.listed for name, kind in kinds.items()},
        "totals": {name: kind.total for name, kind in kinds.items()},
        "truncated": diff.is_truncated,
    }


def stamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, in milliseconds."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(workspace: Workspace, job: str | None) -> dict[str, Any]:
    head = workspace.head
    return {
        "id": str(workspace.pk),
        "workspace_id": workspace.name,
        "name": workspace.name,
        "size_bytes": head.tree_bytes if head else None,
        "stored_bytes": workspace.stored_bytes,  # type: ignore[attr-defined]  # an annotation
        "version": head.number if head else None,
        "versions": workspace.versions_count,  # type: ignore[attr-defined]
        "durable_at": stamp(workspace.durable_at),  # type: ignore[attr-defined]
        "disk_gb": workspace.disk_gb,
        "image": workspace.image,
        "is_saved": workspace.is_saved,
        "damaged": _damage(workspace),
        "host": workspace.host.name if workspace.host else None,
        "active_job": job,
        "created_at": stamp(workspace.created_at),
        "used_at": stamp(workspace.used_at),
    }


def _damage(workspace: Workspace) -> dict[str, Any] | None:
    if workspace.damaged_at is None:
        return None
    good = selectors.last_good(workspace)
    return {
        "message": workspace.damage,
        "at": stamp(workspace.damaged_at),
        "last_good_version": good.number if good else None,
    }
