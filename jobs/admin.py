"""Jobs in /admin/, to look at. Every change goes through services, so nothing can be changed here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from jobs.models import Job, JobEvent, Lease


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    show_full_result_count = False  # a count of all rows is slow on large tables

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "owner", "status", "reason", "exit_code", "attempt", "created_at")
    list_filter = ("status", "reason")
    list_select_related = ("owner",)
    search_fields = ("id", "name", "owner__email")
    ordering = ("-created_at",)
    # What users run and pass is theirs: an operator sees that a job exists, not its secrets.
    exclude = ("script", "environment")


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "host", "epoch", "sandbox_id", "state", "is_stop_wished", "created_at")
    list_filter = ("state", "host")
    list_select_related = ("host",)
    search_fields = ("sandbox_id", "job__id")
    ordering = ("-id",)


@admin.register(JobEvent)
class JobEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "at", "kind")
    list_filter = ("kind",)
    search_fields = ("job__id",)
    ordering = ("-id",)
