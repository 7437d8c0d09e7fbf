"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from celery import shared_task

from usage import services


@shared_task(name="usage.write_down")
def write_down() -> int:
    """Write down the days that are over."""
    return services.usage_write_down()


@shared_task(name="usage.look_at_storage")
def look_at_storage() -> int:
    """Note what everybody has stored."""
    return services.storage_look()
