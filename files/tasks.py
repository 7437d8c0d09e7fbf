"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from celery import shared_task

from files import services


@shared_task(name="files.expire")
def expire() -> int:
    """Remove uploads whose time is over."""
    return services.uploads_expire()
