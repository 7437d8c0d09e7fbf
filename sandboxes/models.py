"""Sandboxes that hold a workspace, stand on a base, or outlive their script."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from hosts.models import Host
from sandboxes.states import SandboxPhase
from workspaces.models import Workspace


class Sandbox(models.Model):
    """One isolated machine on one host. `id` is the wire's `vm_id`.

    `epoch` is the epoch with which it took its workspace (1 without one). What its host says of it counts
    only with that epoch, while it is not ended. Wishes are columns: the host learns of them by `revision`.
    """

    id = models.CharField(primary_key=True, max_length=16, editable=False)  # [a-z0-9]{16}
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sandboxes")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="sandboxes")
    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.CASCADE, related_name="sandboxes"
    )
    epoch = models.PositiveIntegerField(default=1)
    state = models.CharField(
        max_length=10, choices=[(s, s) for s in SandboxPhase], default=SandboxPhase.OFFERED
    )
    is_kept = models.BooleanField(default=False)  # outlives its script
    memory_mb = models.PositiveIntegerField()
    vcpus = models.PositiveSmallIntegerField()
    disk_gb = models.PositiveIntegerField()
    image = models.CharField(max_length=63, default="standard")
    checkpoint_s = models.PositiveIntegerField(default=0)  # how often it is saved by itself; 0: never

    is_stop_wished = models.BooleanField(default=False)
    sync_wished = models.PositiveIntegerField(default=0)  # how many syncs were asked for, and ...
    sync_done = models.PositiveIntegerField(default=0)  # ... which of them is answered
    revision = models.PositiveBigIntegerField(default=0)  # the host's revision at the last change
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["host", "revision"], name="sandbox_host_revision"),
            models.Index(fields=["host"], name="sandbox_host_live", condition=~Q(state=SandboxPhase.ENDED)),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["workspace"],
                condition=~Q(state=SandboxPhase.ENDED),
                name="sandbox_one_live_per_workspace",
            ),
            models.CheckConstraint(condition=Q(state__in=list(SandboxPhase)), name="sandbox_state_known"),
            models.CheckConstraint(
                condition=~Q(state=SandboxPhase.ENDED) | Q(ended_at__isnull=False),
                name="sandbox_ended_has_ended_at",
            ),
        ]

    def __str__(self) -> str:
        return self.pk
