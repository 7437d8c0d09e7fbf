"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

from celery import shared_task

from execs import services


@shared_task(name="execs.settle")
def settle() -> int:
    """Find out how execs have ended whose caller went away."""
    return services.sweep()


@shared_task(name="execs.expire")
def expire() -> int:
    """Remove records that are older than the retention."""
    return services.exec_expire()
