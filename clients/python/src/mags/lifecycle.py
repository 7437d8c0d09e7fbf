"""What a sandbox that stays is doing, as its job tells it: shared by both clients."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mags.errors import MagsError

if TYPE_CHECKING:
    from mags.types import Job

FINAL = ("completed", "error")


def first_script(startup_command: str | None) -> str:
    """What a new sandbox begins with. It ends at once, so that the sandbox is free for the next job.

    Hosts run a start-up command only where a sandbox is made anew, without a script. Here it is started
    again as they would: after 1, 2, 4 ... 60 s, until it ends with 0.
    """
    if not startup_command:
        return ":"
    again = "sleep $pause; pause=$((pause < 32 ? pause * 2 : 60))"
    return f"pause=1; until sh -lc {shlex.quote(startup_command)}; do {again}; done &"


def is_up(job: Job) -> bool:
    """Whether commands can run in the job's sandbox."""
    if job["status"] in FINAL:
        return job["sandbox"] == "running"
    return job["status"] == "running" and bool(job["vm_id"])


def is_over(job: Job) -> bool:
    """Whether nothing of the job runs any more, its sandbox included."""
    return job["status"] in FINAL and job["sandbox"] == "none"


def require_sandbox(job: Job) -> None:
    """Raises where a new job has ended and left none."""
    if job["status"] in FINAL and job["sandbox"] == "none":
        raise MagsError(
            job.get("message") or f"The sandbox of {job['request_id']} has ended: {_reason(job)}.",
            code="sandbox_ended",
            remediation="Look at its status and its events.",
        )


def _reason(job: Job) -> str:
    return job.get("reason") or job["status"]


def not_up_in_time(job: Job, timeout_s: float) -> MagsError:
    why = f" {job['message']}" if job.get("message") else ""
    return MagsError(
        f"The sandbox of {job['request_id']} is not up after {timeout_s:g} s.{why}",
        code="wait_timed_out",
        remediation="It goes on: look at its status, or end it with stop().",
    )
