"""A version that is another one again: nothing is copied, both need the same objects."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from core.live import Topic, tell
from workspaces.errors import HeadMoved, VersionNotFound, WorkspaceInUse
from workspaces.models import Version, VersionObject, Workspace
from workspaces.selectors import LIVE
from workspaces.states import VersionReason


def version_share(version: Version, workspace: Workspace) -> Version:
    """Make `version` the newest version of a free workspace, which may be its own.

    Raises WorkspaceInUse or HeadMoved where somebody was quicker, VersionNotFound where the version
    has expired meanwhile.
    """
    reason = VersionReason.RESTORE if version.workspace_id == workspace.pk else VersionReason.FORK
    with transaction.atomic():
        number = _take_number(workspace)
        # Held until the commit, so that it neither expires nor loses its objects meanwhile.
        source = Version.objects.select_for_update().filter(pk=version.pk, expired_at__isnull=True).first()
        if source is None:
            raise VersionNotFound
        shared = Version.objects.create(
            workspace=workspace, number=number, parent_id=source.parent_id, manifest=source.manifest,
            reason=reason, raw_bytes=source.raw_bytes, stored_bytes=0, tree_bytes=source.tree_bytes,
            made_at=source.made_at, damaged_at=source.damaged_at,
        )  # fmt: skip
        needed = VersionObject.objects.filter(version=source).values_list("object_id", flat=True)
        VersionObject.objects.bulk_create([VersionObject(version=shared, object_id=pk) for pk in needed])
        stands_on = _stands_on(version.workspace)
        Workspace.objects.filter(pk=workspace.pk).update(head=shared, **stands_on)
        tell(workspace.owner_id, Topic.WORKSPACES)
    workspace.head = shared
    workspace.image, workspace.image_build = stands_on["image"], stands_on["image_build"]
    return shared


def _stands_on(source: Workspace) -> dict[str, str]:
    """Files go on over the build that they were written on."""
    return {"image": source.image, "image_build": source.image_build}


def _take_number(workspace: Workspace) -> int:
    """The next version's number, if the workspace is as it was read. Locks its row."""
    number = workspace.last_number + 1
    same = Workspace.objects.filter(
        LIVE, pk=workspace.pk, holder="", head_id=workspace.head_id, last_number=workspace.last_number
    )
    if not same.update(last_number=number, is_saved=True, used_at=timezone.now()):
        is_held = Workspace.objects.filter(pk=workspace.pk).exclude(holder="").exists()
        raise WorkspaceInUse if is_held else HeadMoved
    workspace.last_number = number
    return number
