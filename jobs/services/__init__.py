"""Every write to jobs, leases, events and output."""

from jobs.services.afterlife import workspace_deleted
from jobs.services.fleet import BootAnswer, host_booted, sweep
from jobs.services.held import STOPPED_EXIT_CODE, job_saved, sandbox_over, sandbox_up
from jobs.services.leases import (
    End,
    Outcome,
    lease_end,
    lease_finish,
    lease_start,
    log_append,
)
from jobs.services.retention import logs_expire
from jobs.services.schedule import schedule_waiting
from jobs.services.sleeping import sandbox_slept, sandbox_woke, startup_noted
from jobs.services.spec import DEFAULT_IMAGE, JobSpec
from jobs.services.ssh import job_open_ssh, job_revoke_ssh, user_changed
from jobs.services.stop import job_stop
from jobs.services.submit import job_submit
from jobs.services.sync import job_sync
from jobs.services.trouble import held_words, saving_settled, saving_troubled
from jobs.services.update import job_open_url, job_update
from jobs.services.waking import sandbox_wake

__all__ = [
    "DEFAULT_IMAGE",
    "STOPPED_EXIT_CODE",
    "BootAnswer",
    "End",
    "JobSpec",
    "Outcome",
    "held_words",
    "host_booted",
    "job_open_ssh",
    "job_open_url",
    "job_revoke_ssh",
    "job_saved",
    "job_stop",
    "job_submit",
    "job_sync",
    "job_update",
    "lease_end",
    "lease_finish",
    "lease_start",
    "log_append",
    "logs_expire",
    "sandbox_over",
    "sandbox_slept",
    "sandbox_up",
    "sandbox_wake",
    "sandbox_woke",
    "saving_settled",
    "saving_troubled",
    "schedule_waiting",
    "startup_noted",
    "sweep",
    "user_changed",
    "workspace_deleted",
]
