"""Versions that are no longer offered, and rows that nobody needs any more."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from workspaces.models import Version, Workspace
from workspaces.selectors import LIVE
from workspaces.services.records import record_remove, tombstone_put, tombstone_remove

PRUNE_BATCH = 200


def versions_expire() -> int:
    """Expire by rule: the newest VERSIONS_KEPT of a workspace stay, all younger than
    VERSIONS_KEPT_DAYS stay, and whatever one of these builds on. Returns how many expired."""
    offered = Q(versions__expired_at__isnull=True)
    counted = Workspace.objects.filter(LIVE).annotate(offered=Count("versions", filter=offered))
    many = counted.filter(offered__gt=settings.VERSIONS_KEPT)
    return sum(_expire(workspace_id) for workspace_id in many.values_list("pk", flat=True))


def versions_prune() -> int:
    """Delete expired versions that no other builds on: their records first, then their rows. What
    they used goes at the collector's next run. Returns how many went."""
    for workspace in Workspace.objects.filter(deleted_at__isnull=False, versions__isnull=False).distinct():
        tombstone_put(workspace)  # before the first of its records goes
    total = 0
    while gone := sum(_prune(version) for version in prunable()[:PRUNE_BATCH]):
        total += gone
    return total


def prunable() -> QuerySet[Version]:
    """Expired leaves. When they are gone, others may have become leaves."""
    heads = Workspace.objects.filter(head=OuterRef("pk"))
    leaves = Version.objects.filter(~Exists(heads), expired_at__isnull=False, children__isnull=True)
    return leaves.select_related("workspace").order_by("-pk")


def _expire(workspace_id: UUID) -> int:
    young = timezone.now() - timedelta(days=settings.VERSIONS_KEPT_DAYS)
    offered = Version.objects.filter(workspace_id=workspace_id, expired_at__isnull=True)
    rows = list(offered.order_by("-number").values_list("pk", "parent_id", "committed_at"))
    parents = {pk: parent for pk, parent, _ in rows}
    kept: set[int] = set()
    for place, (pk, _, committed_at) in enumerate(rows):
        if place < max(settings.VERSIONS_KEPT, 1) or committed_at > young:
            step: int | None = pk
            while step is not None and step not in kept:
                kept.add(step)
                step = parents.get(step)
    return offered.filter(pk__in=set(parents) - kept).update(expired_at=timezone.now())


def _prune(version: Version) -> bool:
    record_remove(version)
    workspace = version.workspace
    with transaction.atomic():
        # Nothing new can build on it: `version_commit` and `version_share` take only what is offered.
        leaf = Version.objects.select_for_update().filter(pk=version.pk, expired_at__isnull=False).first()
        if leaf is None or leaf.children.exists():
            return False
        leaf.delete()
    if workspace.deleted_at is not None and not workspace.versions.exists():
        tombstone_remove(workspace)
    return True
