"""Execs in /admin/, to look at."""

from __future__ import annotations

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from execs.models import Exec


@admin.register(Exec)
class ExecAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "owner", "origin", "state", "reason", "exit_code", "created_at")
    list_filter = ("state", "reason", "origin")
    list_select_related = ("owner",)
    search_fields = ("id", "job__id", "owner__email")
    ordering = ("-created_at",)
    exclude = ("command",)  # what users run is theirs
