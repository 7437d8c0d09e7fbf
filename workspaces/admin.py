"""Workspaces in /admin/, to look at: every change goes through services."""

from __future__ import annotations

from celery import current_app
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin import ReadOnlyAdmin, ReadOnlyInline
from core.errors import MagsError
from workspaces.models import StoredObject, Version, Workspace
from workspaces.services import workspaces_check


class VersionInline(ReadOnlyInline):
    model = Version
    fields = (
        "number",
        "reason",
        "tree_bytes",
        "stored_bytes",
        "made_at",
        "durable_at",
        "damaged_at",
        "expired_at",
    )
    ordering = ("-number",)


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
    list_filter = (
        "is_saved",
        ("damaged_at", admin.EmptyFieldListFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("owner",)
    search_fields = ("id", "name", "owner__email", "holder")
    search_help_text = "Id, name, the owner's e-mail address, or the sandbox that holds it"
    ordering = ("-created_at",)
    inlines = (VersionInline,)
    actions = ("check_sizes", "check_bytes")

    @admin.action(description="Check: is every object there, with its size?")
    def check_sizes(self, request: HttpRequest, chosen: QuerySet[Workspace]) -> None:
        """Asks the store for each object, so it is for a few workspaces."""
        try:
            checked = workspaces_check(is_deep=False, only=list(chosen.values_list("pk", flat=True)))
        except MagsError as error:
            self.message_user(request, f"{error.message} {error.remediation}", messages.ERROR)
            return
        level = messages.ERROR if checked.findings else messages.SUCCESS
        self.message_user(request, checked.words, level)

    @admin.action(description="Check every byte, in the background (see the workspace's history)")
    def check_bytes(self, request: HttpRequest, chosen: QuerySet[Workspace]) -> None:
        for workspace in chosen:
            current_app.send_task("workspaces.check", (str(workspace.pk), request.user.pk))
        words = f"{len(chosen)} to check. The result is written to the history of each, and damage is marked."
        self.message_user(request, words)


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
