"""Background tasks: short, and harmless to run twice."""

from celery import shared_task

from core import idempotency


@shared_task(name="core.forget_old_answers")
def forget_old_answers() -> int:
    return idempotency.forget_old_answers()
