"""How workspaces and their versions look to people. No queries here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from django.conf import settings
from django.urls import reverse

from dashboard.presentation import Label, size_text
from workspaces.models import Version, Workspace
from workspaces.states import VersionReason

REASON_WORDS: dict[str, str] = {
    VersionReason.SYNC: "Synced",
    VersionReason.CHECKPOINT: "Checkpoint",
    VersionReason.STOP: "Sandbox stopped",
    VersionReason.END: "Script ended",
    VersionReason.RESTORE: "Restored",
    VersionReason.FORK: "Forked",
    VersionReason.IMPORT: "Imported",
}


@dataclass(frozen=True, slots=True)
class WorkspaceCard:
    """What the list and the head of a workspace's page show."""

    name: str
    href: str
    label: str
    tone: str
    sentence: str
    durable_at: datetime | None
    is_damaged: bool
    is_held: bool
    job: str
    size: str
    stored: str
    versions: int
    disk_gb: int
    image: str
    host: str

    @property
    def job_label(self) -> str:
        return self.job[:8]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A line in the table of versions."""

    number: int
    reason: str
    made_at: datetime
    durable_at: datetime | None
    size: str
    stored: str
    is_head: bool
    is_damaged: bool
    has_changes: bool  # there is one before it, and both can be read

    @property
    def dialog_id(self) -> str:
        return f"restore-{self.number}"


def workspace_card(workspace: Workspace, job: str) -> WorkspaceCard:
    """A workspace as `workspaces.selectors` reads it, and the job that uses it, if there is one."""
    word, tone = workspace_label(workspace)
    return WorkspaceCard(
        name=workspace.name,
        href=reverse("dashboard:workspace", args=[workspace.name]),
        label=word,
        tone=tone,
        sentence=_sentence(workspace),
        durable_at=workspace.durable_at,  # type: ignore[attr-defined]  # an annotation
        is_damaged=workspace.damaged_at is not None,
        is_held=bool(workspace.holder),
        job=job,
        size=size_text(workspace.head.tree_bytes) if workspace.head else "–",
        stored=size_text(workspace.stored_bytes),  # type: ignore[attr-defined]
        versions=workspace.versions_count,  # type: ignore[attr-defined]
        disk_gb=workspace.disk_gb,
        image=workspace.image,
        host=workspace.host.name if workspace.host else "",
    )


def workspace_label(workspace: Workspace) -> Label:
    if workspace.head:
        return Label("Durable", "bad" if workspace.damaged_at else "ok")
    return Label("Not saved yet" if workspace.is_saved else "Not saved", "waiting")


def _sentence(workspace: Workspace) -> str:
    if workspace.damaged_at:
        return "Some of its newest version is missing or changed in the object store."
    if workspace.head:
        return "Its newest version is in the object store, whatever happens to the host."
    if workspace.is_saved:
        return "It is saved for the first time by the next sync, checkpoint or end of a script."
    minutes: int = settings.LOCAL_WORKSPACE_MINUTES
    return f"It lies on its host only and goes {minutes} minutes after its last use. Run with -p to keep it."


def version_rows(
    versions: Iterable[Version], head_id: int | None, broken: set[int], *, has_older: bool = False
) -> list[VersionRow]:
    """Newest first. `broken` are those that cannot be restored; `has_older`: there are more than these."""
    listed = list(versions)
    return [
        VersionRow(
            number=version.number,
            reason=REASON_WORDS.get(version.reason, version.reason),
            made_at=version.made_at,
            durable_at=version.durable_at,
            size=size_text(version.tree_bytes),
            stored=size_text(version.stored_bytes) if version.stored_bytes else "Shared",
            is_head=version.pk == head_id,
            is_damaged=version.pk in broken,
            has_changes=version.pk not in broken and (has_older if older is None else older.pk not in broken),
        )
        for version, older in zip_longest(listed, listed[1:])
    ]
