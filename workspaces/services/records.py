"""What the server itself writes into the bucket: commit records, and tombstones of workspaces."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from core.live import Topic, tell
from workspaces import keys, objectstore
from workspaces.manifests import canonical
from workspaces.models import Version, Workspace
from workspaces.records import record_body

logger = logging.getLogger(__name__)
SWEEP_AFTER_S = 30  # a commit writes its own record well within this
SWEEP_LIMIT = 200  # records of one run, so that it stays short


def record_complete(version: Version) -> Version:
    """Write the version's commit record where it is missing; from then on the version is durable."""
    if version.durable_at is not None:
        return version
    workspace = version.workspace
    key = keys.record_key(workspace.owner_id, workspace.pk, version.number)
    objectstore.put_new(key, record_body(version))
    Version.objects.filter(pk=version.pk, durable_at__isnull=True).update(durable_at=timezone.now())
    tell(workspace.owner_id, Topic.WORKSPACES)
    version.refresh_from_db(fields=["durable_at"])  # whoever else completed it gave the same receipt
    return version


def records_complete() -> int:
    """Complete what a killed server or an absent store left. Returns how many are durable now."""
    before = timezone.now() - timedelta(seconds=SWEEP_AFTER_S)
    missing = Version.objects.filter(durable_at__isnull=True, expired_at__isnull=True)
    old = missing.filter(committed_at__lt=before).select_related("workspace", "parent")
    found = list(old.order_by("committed_at")[:SWEEP_LIMIT])
    for version in found:
        record_complete(version)
    if found:
        logger.info("%d commit records were missing", len(found))
    return len(found)


def tombstone_put(workspace: Workspace) -> None:
    """Say in the bucket that the workspace is deleted, so that a rebuild does not bring it back."""
    key = keys.tombstone_key(workspace.owner_id, workspace.pk)
    objectstore.put_new(key, canonical({"format": 1, "workspace": str(workspace.pk)}))


def record_remove(version: Version) -> None:
    workspace = version.workspace
    objectstore.delete([keys.record_key(workspace.owner_id, workspace.pk, version.number)])


def tombstone_remove(workspace: Workspace) -> None:
    objectstore.delete([keys.tombstone_key(workspace.owner_id, workspace.pk)])
