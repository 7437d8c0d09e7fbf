"""Start-up commands, which their hosts start by themselves, as execs that people can look at."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from execs.models import Exec
from execs.services.records import exec_end
from execs.states import WITHOUT_EXIT_CODE, ExecEnd, ExecState, Origin
from jobs.hostapi.sandboxitems import StartupReported
from jobs.models import Job
from sandboxes.models import Sandbox


def exec_startup(job: Job, sandbox: Sandbox, item: StartupReported) -> None:
    """In the report's transaction. Reports may come twice, and an end without its beginning. How much the
    command has said is not reported: its output is asked for as of any exec."""
    known = uuid.UUID(item.exec_id)
    at = datetime.fromtimestamp(item.at / 1000, UTC)
    row, _ = Exec.objects.get_or_create(
        pk=known,
        defaults={
            "owner_id": job.owner_id, "job": job, "sandbox": sandbox, "origin": Origin.STARTUP,
            "command": sandbox.startup_command or job.startup_command,
            "state": ExecState.RUNNING, "started_at": at, "created_at": at,
        },
    )  # fmt: skip
    if item.state == "exited" and item.reason is not None and row.sandbox_id == sandbox.pk:
        reason = ExecEnd(item.reason)
        exec_end(known, reason, at, exit_code=None if reason in WITHOUT_EXIT_CODE else item.exit_code)
