"""Aliases in /admin/, to look at."""

from __future__ import annotations

from django.contrib import admin

from aliases.models import Alias
from core.admin import ReadOnlyAdmin


@admin.register(Alias)
class AliasAdmin(ReadOnlyAdmin):
    list_display = ("name", "owner", "workspace_name", "port", "created_at", "released_at")
    list_select_related = ("owner",)
    search_fields = ("name", "workspace_name", "owner__email")
    ordering = ("-created_at",)
