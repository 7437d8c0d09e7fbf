"""Doors: the SSH ports that lead to sandboxes, and who has a key to each."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from workspaces.models import SHA256_LENGTH, Workspace


class Door(models.Model):
    """A port that leads to whatever sandbox has the workspace; or to one sandbox, that has none.

    `id` is its label for gateways, and what its host key is derived from: both stay while sandboxes come
    and go. A released one stays as a row for a while, so that nobody else gets a port that is still known.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    port = models.PositiveIntegerField(unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ssh_doors")
    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.CASCADE, related_name="ssh_doors"
    )
    sandbox_id = models.CharField(max_length=16, blank=True)  # where there is no workspace
    created_at = models.DateTimeField(default=timezone.now)
    opened_at = models.DateTimeField(null=True, blank=True)  # when a gateway first listened on it
    released_at = models.DateTimeField(null=True, blank=True)
    # What a host said last: which keys (their digest) are in force in which sandbox.
    answered = models.CharField(max_length=SHA256_LENGTH, blank=True)
    answered_by = models.CharField(max_length=16, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(released_at__isnull=True), name="door_one_per_workspace"
            ),
            models.UniqueConstraint(
                fields=["sandbox_id"], condition=~Q(sandbox_id=""), name="door_one_per_sandbox"
            ),
            models.CheckConstraint(
                condition=Q(workspace__isnull=False, sandbox_id="")
                | Q(workspace__isnull=True) & ~Q(sandbox_id=""),
                name="door_leads_to_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"port {self.port}"


class Grant(models.Model):
    """A user's key to a door. The key itself is derived, and of another generation after each revocation."""

    door = models.ForeignKey(Door, on_delete=models.CASCADE, related_name="grants")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ssh_grants")
    generation = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["door", "user"], name="grant_one_per_user"),
        ]

    def __str__(self) -> str:
        return f"u{self.user_id} at {self.door_id}"
