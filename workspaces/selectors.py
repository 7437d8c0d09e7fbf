"""Every read of workspaces. For people the actor comes first and sees nobody else's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import User
from hosts.models import Host
from hosts.services import host_require_boot
from workspaces.errors import NotSaved, StaleQuestion, VersionNotFound, WorkspaceNotFound
from workspaces.limits import NAME
from workspaces.models import Comparison, StoredObject, Version, Workspace
from workspaces.states import ComparisonState

LIVE = Q(deleted_at__isnull=True)
GONE_FOR = timedelta(hours=1)  # a host that was away for longer boots, and is told then
GONE_LIMIT = 10_000


def workspace_get(actor: User, name: str) -> Workspace:
    """The actor's workspace of this name. Raises WorkspaceNotFound alike for what is missing and for
    what is somebody else's."""
    found = _workspaces(actor).filter(name=name).first() if NAME.fullmatch(name) else None
    if found is None:
        raise WorkspaceNotFound
    return found


def workspace_find(owner: User, name: str) -> Workspace | None:
    """The owner's workspace of this name with its newest version, without what only people want to know."""
    return Workspace.objects.filter(LIVE, owner=owner, name=name).select_related("head").first()


def workspace_list(actor: User) -> QuerySet[Workspace]:
    """The actor's workspaces, newest first."""
    return _workspaces(actor).order_by("-created_at", "-pk")


def gone_from(host_id: UUID) -> list[UUID]:
    """Workspaces that were deleted lately and whose newest data lay on the host."""
    lately = timezone.now() - GONE_FOR
    gone = Workspace.objects.filter(host_id=host_id, deleted_at__gt=lately).order_by("-deleted_at")
    return list(gone.values_list("pk", flat=True)[:GONE_LIMIT])


def gone_of(ids: Collection[UUID]) -> set[UUID]:
    """Those of these workspaces that were deleted. What was never heard of is nobody's to remove."""
    deleted = Workspace.objects.filter(pk__in=ids, deleted_at__isnull=False)
    return set(deleted.values_list("pk", flat=True))


def version_list(workspace: Workspace) -> QuerySet[Version]:
    """What the workspace can be restored to, newest first."""
    return workspace.versions.filter(expired_at__isnull=True).order_by("-number")


def version_pair(workspace: Workspace, before: int | None, after: int | None) -> tuple[Version, Version]:
    """Two versions to compare: by default the newest one, and the one that is offered before it."""
    offered = version_list(workspace).select_related("workspace")
    if workspace.head_id is None:
        raise NotSaved
    new = offered.filter(number=after).first() if after else offered.first()
    if new is None:
        raise VersionNotFound
    if before:
        old = offered.filter(number=before).first()
    elif (old := offered.filter(number__lt=new.number).first()) is None:
        raise VersionNotFound(f"There is no version before version {new.number}.")
    if old is None:
        raise VersionNotFound
    return old, new


def questions_changed(host_id: UUID, boot_epoch: int, after: int) -> list[Comparison]:
    """What this life of the host's agent was asked after the revision and owes an answer to."""
    asked = Comparison.objects.filter(
        host_id=host_id, boot_epoch=boot_epoch, state=ComparisonState.ASKED, revision__gt=after
    )
    return list(asked.select_related("old__workspace", "new").order_by("revision"))


def question_get(host: Host, boot_epoch: int, question: int) -> Comparison:
    """Raises StaleQuestion where this life of the host's agent was not asked, or no longer."""
    asked = Comparison.objects.filter(pk=question, host=host, boot_epoch=boot_epoch)
    found = asked.select_related("old__workspace", "new").first()
    if found is None:
        raise StaleQuestion
    return found


def question_owed(host: Host, boot_epoch: int, question: int) -> Comparison:
    """As `question_get`, while the host owes the answer."""
    host_require_boot(host, boot_epoch)
    found = question_get(host, boot_epoch, question)
    if found.state != ComparisonState.ASKED:
        raise StaleQuestion
    return found


def version_get(workspace: Workspace, number: int) -> Version:
    """Raises VersionNotFound for what never was and for what has expired."""
    found = version_list(workspace).filter(number=number).first()
    if found is None:
        raise VersionNotFound
    return found


def versions_broken(owner_id: int) -> set[int]:
    """The owner's versions that cannot be restored: they are damaged or build on what is. One query where
    nothing is damaged, two otherwise, however long the chains are."""
    owned = Version.objects.filter(workspace__owner_id=owner_id)
    todo = list(owned.filter(damaged_at__isnull=False).values_list("pk", flat=True))
    if not todo:
        return set()
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for pk, parent_id in owned.values_list("pk", "parent_id"):
        children[parent_id].append(pk)
    broken: set[int] = set()
    while todo:
        pk = todo.pop()
        broken.add(pk)
        todo += children.pop(pk, [])
    return broken


def last_good(workspace: Workspace, broken: set[int] | None = None) -> Version | None:
    """The newest version that can be restored; `broken` where the caller has read it already."""
    if broken is None:
        broken = versions_broken(workspace.owner_id)
    return version_list(workspace).exclude(pk__in=broken).first()


def objects_known(owner_id: int, names: Iterable[str]) -> set[str]:
    """Which of these objects the tenant has, as far as the database knows."""
    known = StoredObject.objects.filter(owner_id=owner_id, sha256__in=list(names), collected_at__isnull=True)
    return set(known.values_list("sha256", flat=True))


@dataclass(frozen=True, slots=True)
class Hold:
    """The right of one sandbox to write one workspace."""

    workspace_id: UUID
    sandbox_id: str
    epoch: int


def workspaces_held(hold: Hold) -> QuerySet[Workspace]:
    """The workspace, while the hold lasts; otherwise none."""
    return Workspace.objects.filter(LIVE, pk=hold.workspace_id, holder=hold.sandbox_id, epoch=hold.epoch)


def _workspaces(actor: User) -> QuerySet[Workspace]:
    """Workspaces with what their wire form needs."""
    offered = Q(versions__expired_at__isnull=True)
    last_durable = (
        Version.objects.filter(workspace=OuterRef("pk"))
        .order_by()
        .values("workspace")
        .annotate(at=Max("durable_at"))
        .values("at")
    )
    mine = Workspace.objects.filter(LIVE, owner=actor)
    if actor.only_workspace:
        mine = mine.filter(name=actor.only_workspace)
    return mine.select_related("head", "host").annotate(
        versions_count=Count("versions", filter=offered),
        stored_bytes=Coalesce(Sum("versions__stored_bytes"), 0),
        durable_at=Subquery(last_durable),
    )
