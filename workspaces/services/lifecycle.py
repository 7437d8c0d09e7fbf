"""What people do to their workspaces."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from core.live import Topic, tell
from workspaces import hooks, selectors
from workspaces.chains import is_sound
from workspaces.errors import DiskTooSmall, NotSaved, VersionDamaged, WorkspaceInUse, WorkspaceNotFound
from workspaces.models import Version, Workspace
from workspaces.selectors import LIVE
from workspaces.services.damage import damage_refresh
from workspaces.services.hold import workspace_create
from workspaces.services.records import record_complete
from workspaces.services.share import version_share

GIB = 1 << 30
EXPIRE_LIMIT = 1000  # workspaces of one run


def version_restore(workspace: Workspace, number: int) -> Version:
    """Make an older version the newest one again; nothing is overwritten. Not while it is held."""
    version = selectors.version_get(workspace, number)
    if not is_sound(version):
        raise VersionDamaged
    with transaction.atomic():
        made = version_share(version, workspace)
        damage_refresh(workspace)
        _complete_on_commit(made)
    return made


def workspace_fork(actor: User, source: Workspace, name: str, *, number: int | None = None) -> Workspace:
    """A new workspace that begins with a version of `source`, its newest one by default."""
    version = source.head if number is None else selectors.version_get(source, number)
    if version is None:
        raise NotSaved
    if not is_sound(version):
        raise VersionDamaged
    with transaction.atomic():
        fork = workspace_create(actor, name, disk_gb=source.disk_gb, image=source.image)
        _complete_on_commit(version_share(version, fork))
    return fork


def _complete_on_commit(version: Version) -> None:
    """Not before: the record of a version that was rolled back would stand in the way of the next one of
    its number."""
    transaction.on_commit(partial(record_complete, version))


def workspace_resize(workspace: Workspace, disk_gb: int) -> None:
    """Change how much the workspace may hold, also while a sandbox runs on it. Raises DiskTooSmall."""
    head = workspace.head
    if disk_gb < workspace.disk_gb and head is not None and head.tree_bytes > disk_gb * GIB:
        raise DiskTooSmall(disk_gb, head.tree_bytes)
    workspace.disk_gb = disk_gb
    with transaction.atomic():
        hooks.resized(workspace)
        if not Workspace.objects.filter(LIVE, pk=workspace.pk).update(disk_gb=disk_gb):
            raise WorkspaceNotFound
        tell(workspace.owner_id, Topic.WORKSPACES)


def workspace_delete(workspace: Workspace) -> None:
    """Delete a workspace that nobody holds. The collector removes what nobody else needs of it."""
    now = timezone.now()
    with transaction.atomic():
        free = Workspace.objects.filter(LIVE, pk=workspace.pk, holder="")
        if not free.update(deleted_at=now, head=None):
            held = Workspace.objects.filter(LIVE, pk=workspace.pk).first()
            if held is None:
                raise WorkspaceNotFound
            words = f"The workspace {workspace.name} is already in use. {hooks.held_words(held)}"
            raise WorkspaceInUse(words.strip())
        Version.objects.filter(workspace_id=workspace.pk, expired_at__isnull=True).update(expired_at=now)
        transaction.on_commit(partial(hooks.deleted, workspace))
        tell(workspace.owner_id, Topic.WORKSPACES)


def workspaces_expire_local() -> list[Workspace]:
    """Delete local workspaces that nobody used for a while."""
    before = timezone.now() - timedelta(minutes=settings.LOCAL_WORKSPACE_MINUTES)
    idle = Workspace.objects.filter(LIVE, is_saved=False, holder="", used_at__lt=before)
    gone = []
    for workspace in idle.order_by("used_at")[:EXPIRE_LIMIT]:
        still = idle.filter(pk=workspace.pk)  # not if somebody took it meanwhile
        if still.update(deleted_at=timezone.now(), head=None):
            gone.append(workspace)
            hooks.deleted(workspace)
    return gone
