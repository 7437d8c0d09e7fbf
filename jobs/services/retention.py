"""Output is kept for a time; the job's record stays."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from jobs.models import Job, LogChunk

EXPIRE_LIMIT = 1000  # jobs of one run, so that it stays short


def logs_expire() -> int:
    """Remove the output of jobs that ended before the retention began. Returns how many jobs."""
    now = timezone.now()
    ended = now - timedelta(days=settings.LOG_RETENTION_DAYS)
    old = Job.objects.filter(finished_at__lt=ended, logs_expired_at__isnull=True)
    found = list(old.order_by("finished_at").values_list("pk", flat=True)[:EXPIRE_LIMIT])
    for job_id in found:
        with transaction.atomic():  # one job at a time: nobody waits long for the database
            Job.objects.filter(pk=job_id).update(logs_expired_at=now)
            LogChunk.objects.filter(job_id=job_id).delete()
    return len(found)
