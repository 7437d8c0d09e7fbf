"""Hosts in /admin/: to look at, to drain and to revoke."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from hosts.models import Host

EDITABLE = ("is_draining", "revoked_at", "publishes_images")


@admin.register(Host)
class HostAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "name",
        "is_online",
        "is_draining",
        "used_sandboxes",
        "capacity_sandboxes",
        "last_seen_at",
        "agent_version",
    )
    search_fields = ("name",)
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
