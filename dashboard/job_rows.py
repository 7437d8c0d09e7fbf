"""Jobs as lists and heads of pages show them, with the host that has each."""

from __future__ import annotations

from collections.abc import Iterable

from dashboard import presentation, selectors
from jobs.models import Job


def job_row(job: Job, head: str) -> presentation.JobCard:
    """`head` is the beginning of its script."""
    lease = selectors.current_lease(job)
    return presentation.job_card(job, head, lease.host.name if lease else "")


def job_rows(jobs: Iterable[Job]) -> list[presentation.JobCard]:
    """Of `selectors.jobs_with_heads`."""
    return [job_row(job, job.head) for job in jobs]  # type: ignore[attr-defined]
