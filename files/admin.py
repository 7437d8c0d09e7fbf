"""Uploads in /admin/, to look at."""

from __future__ import annotations

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from files.models import Upload


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "owner", "size_bytes", "created_at", "expires_at")
    list_select_related = ("owner",)
    search_fields = ("id", "name", "owner__email")
    ordering = ("-created_at",)
