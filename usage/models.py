"""How much was used: days that are written down, and how long what lasted that no other table tells."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from sandboxes.models import Sandbox

NO_TOKEN = 0  # submitted in the browser, or with a token whose row was deleted


class DailyUsage(models.Model):
    """What an account used on one day (UTC), by workspace and token.

    The names stay when workspace and token are gone. A column that is null was not metered on that day,
    which is another thing than nothing having been used.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    workspace = models.CharField(max_length=63, blank=True)  # its name; empty: outside of any
    token_number = models.PositiveBigIntegerField(default=NO_TOKEN)  # the ApiToken's id
    jobs = models.PositiveIntegerField(default=0)  # submitted
    awake_ms = models.PositiveBigIntegerField(default=0)  # of sandboxes
    asleep_ms = models.PositiveBigIntegerField(default=0)  # of the same, frozen
    storage_byte_hours = models.PositiveBigIntegerField(null=True, blank=True)
    cpu_ms = models.PositiveBigIntegerField(null=True, blank=True)
    memory_mb_s = models.PositiveBigIntegerField(null=True, blank=True)
    received_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # by sandboxes
    sent_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "daily usage"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["owner", "day", "workspace", "token_number"], name="daily_usage_once"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["day"], name="daily_usage_day")]

    def __str__(self) -> str:
        return f"{self.owner_id} {self.day} {self.workspace or '-'}"


class SleepSpan(models.Model):
    """A time in which a sandbox was frozen. An open one ends with its sandbox at the latest."""

    sandbox = models.ForeignKey(Sandbox, on_delete=models.CASCADE, related_name="+")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["sandbox"], condition=Q(ended_at__isnull=True), name="sleep_one_open_per_sandbox"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")), name="sleep_ends_later"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sandbox_id} from {self.began_at}"


class StorageSpan(models.Model):
    """How many bytes a workspace, or an account's uploads, had in the bucket from one look to another."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    workspace = models.CharField(max_length=63, blank=True)  # its name; empty: uploads
    size_bytes = models.PositiveBigIntegerField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["ended_at"], name="storage_ended"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["owner", "workspace"],
                condition=Q(ended_at__isnull=True),
                name="storage_one_open_per_workspace",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")), name="storage_ends_later"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workspace or 'uploads'} from {self.began_at}"


class Progress(models.Model):
    """How far usage is written down. One row, and the lock of whoever writes."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    written_before = models.DateField(null=True, blank=True)  # days before this one are in DailyUsage
    storage_since = models.DateTimeField(null=True, blank=True)  # the first look at what is stored

    class Meta:
        verbose_name_plural = "progress"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(id=1), name="usage_progress_one_row"),
        ]

    def __str__(self) -> str:
        return f"written before {self.written_before}"
