"""What layers above tell about workspaces. They register in their `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from uuid import UUID

# {workspace: the job that uses it}, for those that are used.
ActiveJobs = Callable[[Collection[UUID]], Mapping[UUID, str]]


def _nobody(workspaces: Collection[UUID]) -> Mapping[UUID, str]:  # noqa: ARG001 - the signature of the hook
    return {}


_active_jobs: ActiveJobs = _nobody


def register_active_jobs(find: ActiveJobs) -> None:
    global _active_jobs
    _active_jobs = find


def active_jobs(workspaces: Collection[UUID]) -> Mapping[UUID, str]:
    return _active_jobs(workspaces)
