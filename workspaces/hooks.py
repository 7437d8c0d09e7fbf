"""What layers above tell about workspaces. They register in their `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from uuid import UUID

from workspaces.models import Workspace

# {workspace: the job that uses it}, for those that are used.
ActiveJobs = Callable[[Collection[UUID]], Mapping[UUID, str]]


def _nobody(workspaces: Collection[UUID]) -> Mapping[UUID, str]:  # noqa: ARG001 - the signature of the hook
    return {}


# A workspace is about to hold another size, or is deleted.
Told = Callable[[Workspace], None]


def _nothing(workspace: Workspace) -> None:
    """Nobody wants to know."""


_active_jobs: ActiveJobs = _nobody
_resized: Told = _nothing
_deleted: Told = _nothing


def register_active_jobs(find: ActiveJobs) -> None:
    global _active_jobs
    _active_jobs = find


def active_jobs(workspaces: Collection[UUID]) -> Mapping[UUID, str]:
    return _active_jobs(workspaces)


def register_resized(call: Told) -> None:
    global _resized
    _resized = call


def resized(workspace: Workspace) -> None:
    """Called with the new size, inside the transaction that changes it and before its row is locked."""
    _resized(workspace)


def register_deleted(call: Told) -> None:
    global _deleted
    _deleted = call


def deleted(workspace: Workspace) -> None:
    """Called once that is committed."""
    _deleted(workspace)
