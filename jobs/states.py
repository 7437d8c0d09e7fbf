"""The states of a job and of a lease, and every move that is allowed. Pure data."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class JobStatus(StrEnum):
    """What the API says of a job."""

    # Entered at submit, and again when an attempt failed and retries are left. Holds: the script
    # has not started in this attempt. Moved on by the host's `started` or `finished` report, by
    # stop, or by the loss of the host.
    ACCEPTED = "accepted"
    # Entered by the host's `started` report. Holds: a sandbox exists and the script was started
    # exactly once in this attempt. Moved on by the `finished` report or the loss of the host.
    RUNNING = "running"
    # Entered when the host reports the sandbox frozen while its script runs, which a visit of its URL ends.
    # Moved on by the report that it is awake, and as `running` is: what is frozen can be killed or lost.
    SLEEPING = "sleeping"
    # Final. The script came to its end, whatever its exit code, or was stopped.
    COMPLETED = "completed"
    # Final. The script did not come to its end; `reason` says why.
    ERROR = "error"


JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.ACCEPTED: frozenset({JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.ERROR}),
    JobStatus.RUNNING: frozenset(
        {JobStatus.ACCEPTED, JobStatus.SLEEPING, JobStatus.COMPLETED, JobStatus.ERROR}
    ),
    JobStatus.SLEEPING: frozenset(
        {JobStatus.ACCEPTED, JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.ERROR}
    ),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.ERROR: frozenset(),
}
JOB_FINAL = frozenset(status for status, following in JOB_TRANSITIONS.items() if not following)


class Reason(StrEnum):
    """Why a job waits or ended the way it did. Empty for a plain end or a job under way."""

    NO_HOST = "no_host"  # accepted: no host is online
    NO_CAPACITY = "no_capacity"  # accepted: every host is full
    SAVING = "saving"  # accepted: its workspace is being saved by the sandbox before
    STARTING = "starting"  # accepted: the sandbox that it will run in is coming up
    STOPPED = "stopped"  # completed: somebody asked for it
    OOM = "oom"
    TIMED_OUT = "timed_out"
    DISK_FULL = "disk_full"
    START_FAILED = "start_failed"
    WORKSPACE_DAMAGED = "workspace_damaged"  # what is stored of its workspace or base is not whole
    HOST_LOST = "host_lost"


class SandboxState(StrEnum):
    """Whether the job has a sandbox now."""

    NONE = "none"
    RUNNING = "running"
    SLEEPING = "sleeping"  # frozen; or ended and saved, and comes back when it is wanted, or by itself


class WakeCause(StrEnum):
    """Who has a sandbox that sleeps get up."""

    URL = "url"
    SSH = "ssh"
    EXEC = "exec"
    ACCESS = "access"
    WISH = "wish"  # POST /mags-jobs/{job}/wake
    RECOVERY = "recovery"  # nobody: it is always on, and was lost


class LeaseState(StrEnum):
    """The right of one host to run one attempt of one job."""

    OFFERED = "offered"  # given at scheduling; the host has not reported its start
    STARTED = "started"  # the host reported the start
    ENDED = "ended"  # finished, stopped or lost: whatever the host still says answers 409


LEASE_TRANSITIONS: dict[LeaseState, frozenset[LeaseState]] = {
    LeaseState.OFFERED: frozenset({LeaseState.STARTED, LeaseState.ENDED}),
    LeaseState.STARTED: frozenset({LeaseState.ENDED}),
    LeaseState.ENDED: frozenset(),
}


class Stream(IntEnum):
    """Where log bytes came from. `PLATFORM` is Mags itself speaking (a drop marker, a note)."""

    STDOUT = 1
    STDERR = 2
    PLATFORM = 3
