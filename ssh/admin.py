"""Doors in /admin/, to look at."""

from __future__ import annotations

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from ssh.models import Door


@admin.register(Door)
class DoorAdmin(ReadOnlyAdmin):
    list_display = ("port", "owner", "workspace", "sandbox_id", "created_at", "opened_at", "released_at")
    list_select_related = ("owner", "workspace")
    search_fields = ("port", "workspace__name", "owner__email")
    ordering = ("port",)
