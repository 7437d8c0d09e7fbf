"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from celery import shared_task

from images import services


@shared_task(name="images.complete_records")
def complete_records() -> int:
    """Write commit records that a killed server or an absent store left missing."""
    return services.records_complete()


@shared_task(name="images.collect")
def collect() -> str:
    """Remove builds and objects that nobody needs."""
    return services.images_collect().summary
