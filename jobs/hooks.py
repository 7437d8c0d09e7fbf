"""What layers above do about jobs. They register in their `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable

from jobs.hostapi.sandboxitems import StartupReported
from jobs.models import Job
from sandboxes.models import Sandbox

# The host of a sandbox says how a try of its startup command goes, maybe again. Called in the report's
# transaction, with the job that the sandbox stands for.
Startup = Callable[[Job, Sandbox, StartupReported], None]


def _nothing(job: Job, sandbox: Sandbox, item: StartupReported) -> None:
    """Nobody wants to know."""


_startup_reported: Startup = _nothing


def register_startup_reported(call: Startup) -> None:
    global _startup_reported
    _startup_reported = call


def startup_reported(job: Job, sandbox: Sandbox, item: StartupReported) -> None:
    _startup_reported(job, sandbox, item)
