"""Jobs, the leases that hosts hold on them, their history and their output."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from hosts.models import Host
from jobs.states import JobStatus, LeaseState, SandboxState
from sandboxes.models import Sandbox
from workspaces.models import Workspace


class Job(models.Model):
    """One submitted script. `id` is the wire's `request_id`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs")
    token = models.ForeignKey(
        "accounts.ApiToken", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    name = models.CharField(max_length=63, blank=True)
    script = models.TextField()
    environment = models.JSONField(default=dict)  # {str: str}
    image = models.CharField(max_length=63, default="standard")
    vcpus = models.PositiveSmallIntegerField(default=2)
    memory_mb = models.PositiveIntegerField(default=1024)
    disk_gb = models.PositiveIntegerField(default=2)
    timeout_s = models.PositiveIntegerField(null=True, blank=True)
    retries = models.PositiveSmallIntegerField(default=0)
    url_port = models.PositiveIntegerField(
        null=True, blank=True
    )  # where its public URL leads; None: it has none
    files = models.JSONField(default=list)  # uploads: [{"id", "name", "sha256", "bytes"}]
    # Of a persistent job, and in force while it is its workspace's newest one (jobs/standing.py).
    no_sleep = models.BooleanField(default=False)  # and comes back by itself when it is lost
    idle_s = models.PositiveIntegerField(null=True, blank=True)  # before it sleeps; None: as the server says
    startup_command = models.TextField(blank=True)  # runs in sandboxes that are made without a script, ...
    startup_environment = models.JSONField(default=dict)  # ... with this: {str: str}

    # The names stay when the workspaces are gone.
    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    workspace_name = models.CharField(max_length=63, blank=True)
    base_name = models.CharField(max_length=63, blank=True)
    is_persistent = models.BooleanField(default=False)  # its sandbox outlives the script
    is_synced = models.BooleanField(default=True)  # what it changes is saved, if its workspace is
    # The one that it waits for, runs in or ran in; none for a job whose sandbox lives with its script.
    in_sandbox = models.ForeignKey(
        Sandbox, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    durable_at = models.DateTimeField(null=True, blank=True)  # when its files were last saved
    unsaved_since = models.DateTimeField(null=True, blank=True)  # since then they could not be
    sandbox_message = models.CharField(max_length=500, blank=True)  # why its sandbox is not up, in a sentence
    # A sandbox that died by itself: how often in a row, before when no new one is made, and since when an
    # always-on one has been away.
    deaths = models.PositiveIntegerField(default=0)
    recover_at = models.DateTimeField(null=True, blank=True)
    down_since = models.DateTimeField(null=True, blank=True)

    status = models.CharField(max_length=10, choices=[(s, s) for s in JobStatus], default=JobStatus.ACCEPTED)
    reason = models.CharField(max_length=20, blank=True)
    message = models.CharField(max_length=500, blank=True)  # the reason in a sentence, for people
    exit_code = models.PositiveSmallIntegerField(null=True, blank=True)
    sandbox = models.CharField(
        max_length=10, choices=[(s, s) for s in SandboxState], default=SandboxState.NONE
    )
    attempt = models.PositiveSmallIntegerField(default=0)  # = epoch of the newest lease
    revision = models.PositiveIntegerField(default=0)  # bumped by every change that people can see
    stop_requested_at = models.DateTimeField(null=True, blank=True)  # a wish, not a state

    created_at = models.DateTimeField(default=timezone.now)
    assigned_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    script_duration_ms = models.PositiveBigIntegerField(null=True, blank=True)
    timings = models.JSONField(default=dict)  # queued, assigned, restored, started: ms

    log_bytes = models.PositiveBigIntegerField(default=0)  # stored so far = the next expected offset
    dropped_bytes = models.PositiveBigIntegerField(default=0)  # output over the caps, counted not kept
    logs_expired_at = models.DateTimeField(null=True, blank=True)  # retention removed the output then
    changed_at = models.DateTimeField(default=timezone.now)  # written with every bump of `revision`

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["owner", "-created_at"], name="job_owner_newest"),
            models.Index(fields=["owner", "name"], name="job_owner_name"),
            models.Index(fields=["owner", "-changed_at"], name="job_owner_changed"),
            models.Index(
                fields=["owner", "workspace_name"],
                name="job_owner_workspace",
                condition=~Q(workspace_name=""),
            ),
            models.Index(
                fields=["owner", "created_at"],
                name="job_waiting",
                condition=Q(status=JobStatus.ACCEPTED, assigned_at__isnull=True),
            ),
            models.Index(
                fields=["workspace", "-created_at"],
                name="job_standing",
                condition=Q(is_persistent=True),
            ),
            models.Index(fields=["recover_at"], name="job_to_recover", condition=Q(recover_at__isnull=False)),
            models.Index(
                fields=["finished_at"],
                name="job_with_logs",
                condition=Q(logs_expired_at__isnull=True, finished_at__isnull=False),
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(status__in=list(JobStatus)), name="job_status_known"),
            models.CheckConstraint(
                condition=~Q(status__in=[JobStatus.COMPLETED, JobStatus.ERROR])
                | Q(finished_at__isnull=False),
                name="job_final_has_finished_at",
            ),
            models.CheckConstraint(
                condition=~Q(status=JobStatus.COMPLETED) | Q(exit_code__isnull=False),
                name="job_completed_has_exit_code",
            ),
            models.CheckConstraint(
                condition=Q(is_persistent=True) | Q(no_sleep=False, startup_command=""),
                name="job_stays_only_if_persistent",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Lease(models.Model):
    """The right of one host to run one attempt of a job.

    A report is accepted only while its lease is not ended and its `boot_epoch` is the host's own:
    both are checked in the statement that writes.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="leases")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="leases")
    epoch = models.PositiveIntegerField()  # 1 for the first attempt
    sandbox_id = models.CharField(max_length=16)  # the wire's `vm_id`: [a-z0-9]{16}
    in_sandbox = models.ForeignKey(  # of that id, where it is more than this lease's
        Sandbox, null=True, blank=True, on_delete=models.RESTRICT, related_name="leases"
    )
    state = models.CharField(max_length=10, choices=[(s, s) for s in LeaseState], default=LeaseState.OFFERED)
    is_stop_wished = models.BooleanField(default=False)
    outcome = models.CharField(max_length=20, blank=True)  # the host's last word; empty: the server ended it
    revision = models.PositiveBigIntegerField()  # the host's revision at the last change
    log_offset = models.PositiveBigIntegerField(default=0)  # where the attempt's output begins in the job's
    memory_mb = models.PositiveIntegerField()  # what it takes from the host (0: its sandbox has the room)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)  # the attempt's script
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["host", "revision"], name="lease_host_revision"),
            models.Index(fields=["host"], name="lease_host_live", condition=~Q(state=LeaseState.ENDED)),
            models.Index(fields=["ended_at"], name="lease_ended", condition=Q(in_sandbox__isnull=True)),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job", "epoch"], name="lease_job_epoch_unique"),
            models.UniqueConstraint(
                fields=["job"], condition=~Q(state=LeaseState.ENDED), name="lease_one_live_per_job"
            ),
            models.UniqueConstraint(
                fields=["sandbox_id"],
                condition=Q(in_sandbox__isnull=True),
                name="lease_sandbox_id_unique",
            ),
            models.UniqueConstraint(
                fields=["in_sandbox"], condition=~Q(state=LeaseState.ENDED), name="lease_one_live_per_sandbox"
            ),
            models.CheckConstraint(condition=Q(state__in=list(LeaseState)), name="lease_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id}#{self.epoch}"


class JobEvent(models.Model):
    """One thing that happened to a job: its history, written with the change itself."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=40)  # submitted, assigned, started, stop_requested, finished, ...
    detail = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["job", "id"], name="event_job")]

    def __str__(self) -> str:
        return f"{self.job_id} {self.kind}"


class LogChunk(models.Model):
    """A run of a job's output: bytes [offset, offset + length) with their records.

    `records` is a list of [unix time in ms, stream, length in bytes] that covers the bytes in
    order; `data` is the bytes, zstd-compressed. Chunks of a job never overlap and leave no gap.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="log_chunks")
    offset = models.PositiveBigIntegerField()
    length = models.PositiveIntegerField()
    records = models.JSONField()
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job", "offset"], name="chunk_job_offset_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id}@{self.offset}"


class FleetWatch(models.Model):
    """What the sweep for lost hosts remembers between its runs. One row.

    Silence of a host is evidence only for a time in which it could have been heard. `steady_since`
    is when the control plane was last seen to be away or to come back.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    swept_at = models.DateTimeField()
    steady_since = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(id=1), name="fleet_watch_one_row"),
        ]

    def __str__(self) -> str:
        return f"steady since {self.steady_since}"
