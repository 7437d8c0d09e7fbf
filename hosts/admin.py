"""Hosts in /admin/: to look at, to drain and to revoke. Each has a page in the dashboard too."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin import ReadOnlyInline
from core.errors import MagsError
from hosts.models import Host, HostEvent
from hosts.services import host_drain, host_revoke

EDITABLE = ("publishes_images",)


class EventInline(ReadOnlyInline):
    model = HostEvent
    fields = ("at", "kind", "by")
    ordering = ("-id",)


@admin.register(Host)
class HostAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "name",
        "state",
        "used_sandboxes",
        "capacity_sandboxes",
        "used_memory_mb",
        "capacity_memory_mb",
        "last_seen_at",
        "agent_version",
    )
    list_filter = ("is_online", "is_draining", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "id")
    actions = ("drain", "undrain", "revoke")
    inlines = (EventInline,)
    fields = (
        "id",
        "name",
        "is_draining",
        "revoked_at",
        "is_online",
        "is_agent_draining",
        "last_seen_at",
        "created_at",
        "agent_version",
        "isolation",
        "data_address",
        "data_port",
        "publishes_images",
        "boot_epoch",
        "machine_boot_id",
        "revision",
        "capacity_sandboxes",
        "capacity_memory_mb",
        "capacity_vcpus",
        "used_sandboxes",
        "used_memory_mb",
    )
    readonly_fields = tuple(name for name in fields if name not in EDITABLE)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:  # noqa: ARG002
        """One that is gone is revoked: what ran there stays written down."""
        return False

    @admin.action(description="Drain: nothing new starts there", permissions=["change"])
    def drain(self, request: HttpRequest, chosen: QuerySet[Host]) -> None:
        self._do(request, chosen, "drains", lambda name, by: host_drain(name, is_draining=True, by=by))

    @admin.action(description="Take work again", permissions=["change"])
    def undrain(self, request: HttpRequest, chosen: QuerySet[Host]) -> None:
        self._do(
            request, chosen, "takes work again", lambda name, by: host_drain(name, is_draining=False, by=by)
        )

    @admin.action(description="Revoke for good: what runs there is lost", permissions=["change"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[Host]) -> None:
        self._do(request, chosen, "is revoked", lambda name, by: host_revoke(name, by=by))

    def _do(
        self, request: HttpRequest, chosen: QuerySet[Host], said: str, act: Callable[[str, str], None]
    ) -> None:
        for host in chosen.filter(revoked_at__isnull=True):
            try:
                act(host.name, request.user.get_username())
                self.message_user(request, f"{host.name} {said}.")
            except MagsError as error:
                self.message_user(request, f"{host.name}: {error.message}", messages.ERROR)
