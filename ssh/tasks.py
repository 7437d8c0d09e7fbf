"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from celery import shared_task

from ssh import services


@shared_task(name="ssh.expire")
def expire() -> None:
    """Forget ports whose quarantine is over."""
    services.doors_expire()
