"""A version of a job's workspace on demand."""

from __future__ import annotations

from django.db import transaction

from core.wakeup import wake_on_commit
from jobs.errors import NothingToSave
from jobs.models import Job, JobEvent
from sandboxes.services import sandbox_lock, sandbox_wish_sync


def job_sync(job: Job) -> int:
    """Ask for a version of the job's workspace as it is now. Returns the number of the wish, which the
    sandbox answers (`jobs.selectors.receipt_of`); 0 where no sandbox is left that could."""
    if job.workspace_id is None or job.in_sandbox_id is None:
        raise NothingToSave
    with transaction.atomic():
        sandbox = sandbox_lock(job.in_sandbox_id)
        if sandbox is None:
            return 0
        wish = sandbox_wish_sync(sandbox)
        JobEvent.objects.create(job_id=job.pk, kind="sync_requested", detail={"sync": wish})
        if sandbox.host_id is not None:
            wake_on_commit(f"host.{sandbox.host_id}")
    return wish
