"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from celery import shared_task

from workspaces import services


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
