"""Workspaces with versions as hosts would have made them, without their data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from tests.jobs.factories import Agent
from workspaces.models import Version, Workspace
from workspaces.services import version_damage, workspace_create
from workspaces.states import VersionReason

LONG = "a-name-as-long-as-names-may-be-".ljust(63, "x")
STEP = timedelta(minutes=7)


def workspace_of(owner: User, name: str, versions: int = 0, **fields: Any) -> Workspace:
    """A free workspace whose versions each build on the one before; the newest is a few seconds old."""
    workspace = workspace_create(owner, name, disk_gb=10)
    newest = timezone.now() - timedelta(seconds=12)
    parent: Version | None = None
    for number in range(1, versions + 1):
        at = newest - (versions - number) * STEP
        reason = list(VersionReason)[(number - 1) % 4]
        parent = Version.objects.create(
            workspace=workspace, number=number, parent=parent, reason=reason,
            manifest=f"{workspace.pk.hex}{number:032x}",
            raw_bytes=number * 1000, stored_bytes=number * 43_210, tree_bytes=number * 31_415_926,
            made_at=at, committed_at=at, durable_at=at,
        )  # fmt: skip
    changes = {"head": parent, "last_number": versions, "is_saved": versions > 0, **fields}
    Workspace.objects.filter(pk=workspace.pk).update(**changes)
    workspace.refresh_from_db()
    return workspace


def damage(workspace: Workspace, number: int, message: str = "A segment is missing.") -> None:
    version_damage(workspace.versions.get(number=number), message)


def example(owner: User) -> None:
    """Something of everything that the pages show."""
    host = Agent(boot=False).host
    workspace_of(owner, "train-2026", versions=4, host=host)
    damage(workspace_of(owner, "web", versions=6, host=host), 5)
    workspace_of(owner, "held", versions=2, host=host, holder="0123456789abcdef")
    workspace_of(owner, "scratch", host=host)
    workspace_of(owner, LONG)
