"""Which jobs were given which uploads."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from jobs.models import Job
from jobs.selectors import job_list

JOBS_LIMIT = 500  # that are looked at


def jobs_with_files(actor: User, file_ids: list[str]) -> dict[str, list[Job]]:
    """Of each upload, the newest of the actor's jobs that were given it. Only jobs as young as uploads may be
    are looked at, for a job's files are a list in its row."""
    if not file_ids:
        return {}
    since = timezone.now() - timedelta(days=settings.FILE_TTL_DAYS)
    recent = job_list(actor).filter(created_at__gte=since).exclude(files=[])
    found: dict[str, list[Job]] = {file_id: [] for file_id in file_ids}
    for job in recent[:JOBS_LIMIT]:
        for file in job.files:
            if file["id"] in found:
                found[file["id"]].append(job)
    return found
