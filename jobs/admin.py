"""Jobs in /admin/, to look at. Every change goes through services, so nothing can be changed here."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin import ReadOnlyAdmin, ReadOnlyInline
from jobs.models import Job, JobEvent, Lease

EVENTS_SHOWN = 100
NOBODY = UUID(int=0)


class LeaseInline(ReadOnlyInline):
    model = Lease
    fields = ("epoch", "host", "sandbox_id", "state", "is_stop_wished", "outcome", "created_at", "ended_at")
    ordering = ("epoch",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lease]:
        return super().get_queryset(request).select_related("host")


class EventInline(ReadOnlyInline):
    model = JobEvent
    fields = ("at", "kind", "detail")
    ordering = ("-id",)
    max_num = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobEvent]:
        """The newest ones: a sandbox that stays for months has thousands."""
        events = super().get_queryset(request)
        job = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        newest = JobEvent.objects.filter(job_id=_uuid(job)).order_by("-pk").values_list("pk", flat=True)
        return events.filter(pk__in=list(newest[:EVENTS_SHOWN]))


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "name",
        "owner",
        "workspace_name",
        "status",
        "reason",
        "exit_code",
        "attempt",
        "created_at",
    )
    list_filter = ("status", "reason", "sandbox", "is_persistent", "no_sleep", "created_at")
    list_select_related = ("owner",)
    search_fields = ("id", "name", "workspace_name", "owner__email")
    search_help_text = "Id, name, workspace, or the owner's e-mail address"
    inlines = (LeaseInline, EventInline)
    ordering = ("-created_at",)
    # What users run and pass is theirs: an operator sees that a job exists, not its secrets.
    exclude = ("script", "environment", "startup_command", "startup_environment")


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "host", "epoch", "sandbox_id", "state", "is_stop_wished", "created_at")
    list_filter = ("state", "host")
    list_select_related = ("host",)
    search_fields = ("sandbox_id", "job__id")
    ordering = ("-id",)


@admin.register(JobEvent)
class JobEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "at", "kind")
    list_filter = ("kind",)
    search_fields = ("job__id",)
    ordering = ("-id",)


def _uuid(text: object) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        return NOBODY  # Django answers that there is no such job
