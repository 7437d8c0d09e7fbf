"""Who may write a workspace: at most one sandbox at a time.

A hold is taken and given back by guarded updates. Its epoch goes into the condition of every commit,
so a sandbox that lost its hold publishes nothing, whatever it still believes.
"""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from core.live import Topic, tell
from hosts.models import Host
from workspaces.errors import WorkspaceInUse, WorkspaceNameTaken
from workspaces.models import Workspace
from workspaces.selectors import LIVE, Hold, workspaces_held
from workspaces.services.share import version_share

TAKE_TRIES = 5  # a take starts over when the workspace is made or deleted meanwhile


def workspace_take(
    owner: User,
    name: str,
    sandbox_id: str,
    *,
    is_saved: bool,
    disk_gb: int,
    image: str = "standard",
    fork_of: Workspace | None = None,
    host: Host | None = None,
) -> Workspace:
    """Give the owner's workspace of this name to a sandbox; make it first where there is none, as a
    fork of `fork_of` where that is given. One that exists is taken as it is.

    Raises WorkspaceInUse where somebody holds it. `is_saved` only ever turns on.
    """
    changes: dict[str, Any] = {"is_saved": True} if is_saved else {}
    if host is not None:
        changes["host"] = host
    with transaction.atomic():
        for _ in range(TAKE_TRIES):
            workspace = _find_or_make(owner, name, disk_gb=disk_gb, image=image, fork_of=fork_of)
            if workspace is None:
                continue
            same = Workspace.objects.filter(LIVE, pk=workspace.pk)
            now = timezone.now()
            if same.filter(holder="").update(holder=sandbox_id, epoch=F("epoch") + 1, used_at=now, **changes):
                workspace.refresh_from_db()
                return workspace
            if same.exists():
                break
    raise WorkspaceInUse(f"The workspace {name} is already in use.")


def workspace_release(hold: Hold) -> bool:
    """Give the workspace back. False: this hold had ended already."""
    return bool(workspaces_held(hold).update(holder="", used_at=timezone.now()))


def workspace_place(hold: Hold, host: Host) -> bool:
    """Note where the newest local data lies from now on."""
    return bool(workspaces_held(hold).update(host=host))


def workspace_create(
    owner: User, name: str, *, disk_gb: int, image: str = "standard", fork_of: Workspace | None = None
) -> Workspace:
    """A new workspace, empty or with the head of another one. Raises WorkspaceNameTaken."""
    try:
        with transaction.atomic():
            workspace = Workspace.objects.create(owner=owner, name=name, disk_gb=disk_gb, image=image)
    except IntegrityError as error:
        raise WorkspaceNameTaken from error
    tell(owner.pk, Topic.WORKSPACES)
    if fork_of is not None and fork_of.head is not None:
        version_share(fork_of.head, workspace)
    return workspace


def _find_or_make(
    owner: User, name: str, *, disk_gb: int, image: str, fork_of: Workspace | None
) -> Workspace | None:
    """None: it was made and deleted again by somebody else at this very moment."""
    found = Workspace.objects.filter(LIVE, owner=owner, name=name)
    workspace = found.first()
    if workspace is not None:
        return workspace
    try:
        return workspace_create(owner, name, disk_gb=disk_gb, image=image, fork_of=fork_of)
    except WorkspaceNameTaken:
        return found.first()
