"""How sandboxes look to people. No queries here."""

from __future__ import annotations

from jobs.models import Job
from jobs.states import JOB_FINAL


def has_shell(job: Job) -> bool:
    """Whether a command can be executed in its sandbox: now, or once that has been woken."""
    return job.is_persistent or (job.in_sandbox_id is not None and job.status not in JOB_FINAL)
