"""Sandboxes that hold a workspace, stand on a base, or outlive their script."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from hosts.models import Host
from sandboxes.states import SandboxPhase, SaveFailure
from workspaces.models import SHA256_LENGTH, Workspace


class Sandbox(models.Model):
    """One isolated machine on one host, and the hold on its workspace from before it has a host until
    it has ended. `id` is the wire's `vm_id`.

    `epoch` is the epoch with which it took its workspace (1 without one). What its host says of it counts
    only with that epoch, while it is not ended. Wishes are columns: the host learns of them by `revision`.
    """

    id = models.CharField(primary_key=True, max_length=16, editable=False)  # [a-z0-9]{16}
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sandboxes")
    host = models.ForeignKey(Host, null=True, blank=True, on_delete=models.PROTECT, related_name="sandboxes")
    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.CASCADE, related_name="sandboxes"
    )
    epoch = models.PositiveIntegerField(default=1)
    state = models.CharField(
        max_length=10, choices=[(s, s) for s in SandboxPhase], default=SandboxPhase.WAITING
    )
    is_kept = models.BooleanField(default=False)  # outlives its script
    is_synced = models.BooleanField(default=True)  # its workspace is saved, if it is one that is
    base_manifest = models.CharField(max_length=SHA256_LENGTH, blank=True)  # without a workspace: stands on
    memory_mb = models.PositiveIntegerField()
    vcpus = models.PositiveSmallIntegerField()
    disk_gb = models.PositiveIntegerField()
    image = models.CharField(max_length=63, default="standard")
    image_build = models.CharField(max_length=128, blank=True)  # empty: the host's present one
    checkpoint_s = models.PositiveIntegerField(default=0)  # how often it is saved by itself; 0: never

    # When it sleeps. Its host freezes it once nothing has happened in it for so long.
    sleeps = models.BooleanField(default=True)
    sleeps_with_runs = models.BooleanField(default=False)  # a script that runs does not keep it awake
    idle_s = models.PositiveIntegerField(null=True, blank=True)  # None: as the server says
    asleep_since = models.DateTimeField(null=True, blank=True)  # frozen; its state is still `running`
    wake_wished = models.PositiveIntegerField(default=0)  # how often it was wished awake, and ...
    wake_done = models.PositiveIntegerField(default=0)  # ... which of that was before it slept or woke
    # What runs in one that was made without a script.
    startup_command = models.TextField(blank=True)
    startup_environment = models.JSONField(default=dict)  # {str: str}
    made_for = models.CharField(max_length=20, blank=True)  # without a script: who wanted it (`WakeCause`)
    next_for = models.CharField(max_length=20, blank=True)  # after its end, somebody wants another one

    is_stop_wished = models.BooleanField(default=False)
    is_put_away = models.BooleanField(default=False)  # its owner stopped it: a visit does not bring it back
    sync_wished = models.PositiveIntegerField(default=0)  # how many syncs were asked for, and ...
    sync_done = models.PositiveIntegerField(default=0)  # ... which of them is answered
    revision = models.PositiveBigIntegerField(default=0)  # the host's revision at the last change
    tree_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # of its files, as last heard
    # Why its files cannot be saved, and since when; its host goes on trying. Empty: they can.
    trouble = models.CharField(max_length=12, blank=True, choices=[(f, f) for f in SaveFailure])
    trouble_since = models.DateTimeField(null=True, blank=True)
    up_at = models.DateTimeField(null=True, blank=True)  # its host said then that it runs
    reason = models.CharField(max_length=20, blank=True)  # why it waits or ended, and ...
    message = models.CharField(max_length=500, blank=True)  # ... the same in a sentence
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["host", "revision"], name="sandbox_host_revision"),
            models.Index(fields=["host"], name="sandbox_host_live", condition=~Q(state=SandboxPhase.ENDED)),
            models.Index(
                fields=["created_at"], name="sandbox_waiting", condition=Q(state=SandboxPhase.WAITING)
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["workspace"],
                condition=~Q(state=SandboxPhase.ENDED),
                name="sandbox_one_live_per_workspace",
            ),
            models.CheckConstraint(condition=Q(state__in=list(SandboxPhase)), name="sandbox_state_known"),
            models.CheckConstraint(
                condition=Q(state=SandboxPhase.ENDED)
                | Q(state=SandboxPhase.WAITING, host__isnull=True)
                | (~Q(state=SandboxPhase.WAITING) & Q(host__isnull=False)),
                name="sandbox_waits_or_has_a_host",
            ),
            models.CheckConstraint(
                condition=~Q(state=SandboxPhase.ENDED) | Q(ended_at__isnull=False),
                name="sandbox_ended_has_ended_at",
            ),
        ]

    def __str__(self) -> str:
        return self.pk
