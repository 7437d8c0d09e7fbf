"""A job's sandbox, once commands can run in it."""

from __future__ import annotations

from execs.errors import NoSandbox
from jobs.errors import SandboxStopped
from jobs.models import Job
from jobs.services.waking import sandbox_wake
from jobs.standing import Standing, sandbox_serving, standing_of
from jobs.states import WakeCause
from sandboxes.models import Sandbox


class Readiness:
    """Looks until the sandbox is up, and has it woken once: one that ends again while it starts is not
    started over and over for a caller who waits."""

    def __init__(self) -> None:
        self._has_woken = False

    def look(self, job: Job) -> Sandbox | None:
        """None: it will be up. Raises NoSandbox, SandboxStopped, CannotWake."""
        if job.workspace_id is None and job.in_sandbox_id is None:
            raise NoSandbox
        sandbox = sandbox_serving(job.workspace_id, job.in_sandbox_id)
        standing = standing_of(sandbox)
        if standing is Standing.RUNNING:
            return sandbox  # one that is frozen is thawed by whoever connects to it
        if standing is Standing.STOPPED:
            if self._has_woken:
                raise SandboxStopped
            self._has_woken = True
            sandbox_wake(job, WakeCause.EXEC)
        return None
