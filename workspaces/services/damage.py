"""What is known of lost or changed data, and what can still be restored."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from core.live import Topic, tell
from workspaces.chains import chain
from workspaces.models import Version, Workspace
from workspaces.selectors import LIVE

MESSAGE_LIMIT = 500


def workspace_damage(workspace: Workspace, manifest: str, message: str) -> None:
    """A host could not use an object of this version of the workspace's present chain."""
    if workspace.head_id is not None:
        _damage_in(workspace.head_id, manifest, message)


def base_damage(owner_id: int, base_manifest: str, manifest: str, message: str) -> None:
    """The same, of a chain that a sandbox without a workspace of its own was to begin as."""
    base = Version.objects.filter(workspace__owner_id=owner_id, manifest=base_manifest).first()
    if base is not None:
        _damage_in(base.pk, manifest, message)


def version_damage(version: Version, message: str) -> None:
    """Mark a version, and the workspaces whose newest version builds on it."""
    _same_data(version).filter(damaged_at__isnull=True).update(damaged_at=timezone.now())
    for workspace in _of_the_owner(version):
        damage_refresh(workspace, message)


def version_heal(version: Version) -> None:
    """All of the version's data is there and right (again)."""
    if _same_data(version).filter(damaged_at__isnull=False).update(damaged_at=None):
        for workspace in _of_the_owner(version):
            damage_refresh(workspace)


def damage_refresh(workspace: Workspace, message: str = "") -> None:
    """Bring the workspace's mark in line with what its newest version builds on."""
    if workspace.head_id is None:
        return
    marks = [version.damaged_at for version in chain(workspace.head_id) if version.damaged_at]
    text = message or workspace.damage or "Stored data is damaged."
    same = Workspace.objects.filter(LIVE, pk=workspace.pk, head_id=workspace.head_id)
    if marks:
        same.update(damaged_at=workspace.damaged_at or marks[0], damage=text[:MESSAGE_LIMIT])
    else:
        same.update(damaged_at=None, damage="")
    tell(workspace.owner_id, Topic.WORKSPACES)


def _damage_in(version_id: int, manifest: str, message: str) -> None:
    """A host names only versions of the chain that it was given."""
    for version in chain(version_id):
        if version.manifest == manifest:
            version_damage(version, message)


def _same_data(version: Version) -> QuerySet[Version]:
    """The version, and those that share its data after a restore or a fork."""
    owner_id = version.workspace.owner_id
    return Version.objects.filter(workspace__owner_id=owner_id, manifest=version.manifest)


def _of_the_owner(version: Version) -> list[Workspace]:
    """Whose chains may hold the version: forks share chains among one owner's workspaces."""
    owner_id = version.workspace.owner_id
    return list(Workspace.objects.filter(LIVE, owner_id=owner_id, head__isnull=False))
