"""Names of one's own for the public URLs of workspaces."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Alias(models.Model):
    """A label that leads to whatever sandbox has the owner's workspace of that name.

    A released one stays as a row for a while: visitors still come who mean its former owner.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="aliases")
    workspace_name = models.CharField(max_length=63)
    port = models.PositiveIntegerField(null=True, blank=True)  # None: that of the workspace's own URL
    created_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "aliases"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["owner", "-created_at"], name="alias_owner_newest"),
        ]

    def __str__(self) -> str:
        return self.name
