"""What layers above tell about workspaces. They register in their `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from workspaces.models import Workspace

# {workspace: the job that uses it}, for those that are used.
ActiveJobs = Callable[[Collection[UUID]], Mapping[UUID, str]]


def _nobody(workspaces: Collection[UUID]) -> Mapping[UUID, str]:  # noqa: ARG001 - the signature of the hook
    return {}


# What is to be known of a workspace that is held, in a sentence; empty where that says it all.
HeldWords = Callable[[Workspace], str]


def _no_words(workspace: Workspace) -> str:  # noqa: ARG001 - the signature of the hook
    return ""


# A workspace is about to hold another size, or is deleted.
Told = Callable[[Workspace], None]


def _nothing(workspace: Workspace) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Report:
    """What a command has done or found, in lines for people. Nothing: no summary."""

    summary: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Images:
    """What the commands for the bucket do about images, which lie in it as well."""

    check: Callable[[bool], Report]  # is_deep
    rebuild: Callable[[bool], Report]  # is_dry
    collect: Callable[[bool], Report]  # is_dry


_images: list[Images] = []
_active_jobs: ActiveJobs = _nobody
_held_words: HeldWords = _no_words
_resized: Told = _nothing
_deleted: list[Told] = []


def register_active_jobs(find: ActiveJobs) -> None:
    global _active_jobs
    _active_jobs = find


def active_jobs(workspaces: Collection[UUID]) -> Mapping[UUID, str]:
    return _active_jobs(workspaces)


def register_held_words(find: HeldWords) -> None:
    global _held_words
    _held_words = find


def held_words(workspace: Workspace) -> str:
    return _held_words(workspace)


def register_resized(call: Told) -> None:
    global _resized
    _resized = call


def resized(workspace: Workspace) -> None:
    """Called with the new size, inside the transaction that changes it and before its row is locked."""
    _resized(workspace)


def register_deleted(call: Told) -> None:
    _deleted.append(call)


def deleted(workspace: Workspace) -> None:
    """Called once that is committed."""
    for call in _deleted:
        call(workspace)


def register_images(images: Images) -> None:
    _images[:] = [images]


def say(reports: list[Report], write: Callable[[str], object]) -> bool:
    """Print what there is to say. False: there are problems."""
    for report in reports:
        for line in [*report.problems, *([report.summary] if report.summary else [])]:
            write(line)
    return not any(report.problems for report in reports)


def images() -> list[Images]:
    """Empty where nothing is known of images."""
    return _images
