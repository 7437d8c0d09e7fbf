"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from django.contrib.admin.models import CHANGE, LogEntry

from core.errors import MagsError
from workspaces import services
from workspaces.models import Workspace


@shared_task(name="workspaces.complete_records")
def complete_records() -> int:
    """Write commit records that a killed server or an absent store left missing."""
    return services.records_complete()


@shared_task(name="workspaces.expire_local")
def expire_local() -> int:
    """Delete local workspaces that nobody used for a while."""
    return len(services.workspaces_expire_local())


@shared_task(name="workspaces.expire_versions")
def expire_versions() -> int:
    """Expire versions by rule, and forget those that nobody needs any more."""
    services.versions_expire()
    return services.versions_prune()


@shared_task(name="workspaces.collect")
def collect() -> int:
    """Remove objects that no version needs."""
    return services.objects_collect().objects


@shared_task(name="workspaces.expire_comparisons")
def expire_comparisons() -> int:
    """Forget what old comparisons of versions found."""
    return services.comparisons_expire()


@shared_task(name="workspaces.check")
def check(workspace_id: str, asked_by: int) -> None:
    """Read every byte of a workspace's versions, and write what was found to its history."""
    workspaces = Workspace.objects.filter(pk=UUID(workspace_id))
    try:
        words = f"Checked: {services.workspaces_check(only=[UUID(workspace_id)]).words}"
    except MagsError as error:
        words = f"Not checked: {error.message}"
    LogEntry.objects.log_actions(asked_by, workspaces, CHANGE, words, single_object=True)
