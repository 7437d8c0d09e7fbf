"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from celery import shared_task

from aliases import services


@shared_task(name="aliases.expire")
def expire() -> int:
    """Forget names whose quarantine is over."""
    return services.aliases_expire()
