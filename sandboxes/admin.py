"""Sandboxes in /admin/, to look at."""

from __future__ import annotations

from django.contrib import admin

from sandboxes.models import Sandbox
from workspaces.admin import ReadOnlyAdmin


@admin.register(Sandbox)
class SandboxAdmin(ReadOnlyAdmin):
    list_display = ("id", "owner", "host", "workspace", "epoch", "state", "is_kept", "created_at")
    list_filter = ("state", "host")
    list_select_related = ("owner", "host", "workspace")
    search_fields = ("id", "workspace__name", "owner__email")
    ordering = ("-created_at",)
