"""Workspaces in /admin/, to look at: every change goes through services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from workspaces.models import StoredObject, Version, Workspace


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    show_full_result_count = False  # a count of all rows is slow on large tables

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Workspace)
class WorkspaceAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "name",
        "owner",
        "holder",
        "epoch",
        "is_saved",
        "damaged_at",
        "deleted_at",
        "used_at",
    )
    list_filter = ("is_saved",)
    list_select_related = ("owner",)
    search_fields = ("id", "name", "owner__email", "holder")
    ordering = ("-created_at",)


@admin.register(Version)
class VersionAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "workspace",
        "number",
        "reason",
        "stored_bytes",
        "durable_at",
        "damaged_at",
        "expired_at",
    )
    list_filter = ("reason",)
    list_select_related = ("workspace",)
    search_fields = ("workspace__id", "workspace__name", "manifest")
    exclude = ("needs",)
    ordering = ("-id",)


@admin.register(StoredObject)
class StoredObjectAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "owner", "kind", "size_bytes", "seen_at", "collected_at")
    list_filter = ("kind",)
    list_select_related = ("owner",)
    search_fields = ("sha256",)
    ordering = ("-id",)
