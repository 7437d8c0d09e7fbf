"""Sandboxes in /admin/, to look at."""

from __future__ import annotations

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from sandboxes.models import Sandbox


@admin.register(Sandbox)
class SandboxAdmin(ReadOnlyAdmin):
    list_display = ("id", "owner", "host", "workspace", "epoch", "state", "is_kept", "created_at")
    list_filter = ("state", "host")
    list_select_related = ("owner", "host", "workspace")
    search_fields = ("id", "workspace__name", "owner__email")
    ordering = ("-created_at",)
