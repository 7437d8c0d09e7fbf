"""Usage in /admin/, to look at: it is counted, not entered."""

from __future__ import annotations

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from usage.models import DailyUsage, Progress, SleepSpan, StorageSpan


@admin.register(DailyUsage)
class DailyUsageAdmin(ReadOnlyAdmin):
    list_display = (
        "day", "owner", "workspace", "token_number", "jobs", "awake_ms", "asleep_ms", "storage_byte_hours",
        "cpu_ms", "memory_mb_s", "received_bytes", "sent_bytes",
    )  # fmt: skip
    list_select_related = ("owner",)
    search_fields = ("owner__email", "workspace")
    date_hierarchy = "day"
    ordering = ("-day", "owner", "workspace", "token_number")


@admin.register(SleepSpan)
class SleepSpanAdmin(ReadOnlyAdmin):
    list_display = ("sandbox_id", "began_at", "ended_at")
    search_fields = ("sandbox__id",)
    ordering = ("-began_at",)


@admin.register(StorageSpan)
class StorageSpanAdmin(ReadOnlyAdmin):
    list_display = ("owner", "workspace", "size_bytes", "began_at", "ended_at")
    list_select_related = ("owner",)
    search_fields = ("owner__email", "workspace")
    ordering = ("-began_at",)


@admin.register(Progress)
class ProgressAdmin(ReadOnlyAdmin):
    list_display = ("written_before", "storage_since")
