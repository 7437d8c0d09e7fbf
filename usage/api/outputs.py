"""The shape of what people get about their usage."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from jobs.wire import stamp
from usage.amounts import Amounts
from usage.report import Report, TokenUsage
from usage.units import gb_hours, memory_gb_hours, seconds

ROWS_LIMIT = 200  # of workspaces and of tokens, the most used ones; the CSV has all


class AmountsOutput(serializers.Serializer[Any]):
    """What was used. Null: not metered."""

    vm_seconds = serializers.FloatField(help_text="Sandboxes were there and awake for so long, added up.")
    asleep_seconds = serializers.FloatField(help_text="The same for sandboxes that were frozen.")
    cpu_seconds = serializers.FloatField(allow_null=True)
    memory_gb_hours = serializers.FloatField(allow_null=True)
    storage_gb_hours = serializers.FloatField(allow_null=True, help_text="A GB is 1024³ bytes.")
    received_bytes = serializers.IntegerField(allow_null=True, help_text="By sandboxes.")
    sent_bytes = serializers.IntegerField(allow_null=True)


class DayOutput(AmountsOutput):
    day = serializers.DateField()
    jobs = serializers.IntegerField()


class WorkspaceUsageOutput(AmountsOutput):
    workspace = serializers.CharField(allow_null=True, help_text="Null: outside of any.")
    jobs = serializers.IntegerField()
    storage_bytes = serializers.IntegerField(help_text="Now.")


class TokenUsageOutput(AmountsOutput):
    token_id = serializers.IntegerField(allow_null=True, help_text="Null: the browser, or a deleted token.")
    name = serializers.CharField(allow_null=True)
    prefix = serializers.CharField(allow_null=True)
    revoked = serializers.BooleanField()
    jobs = serializers.IntegerField()


class CronUsageOutput(AmountsOutput):
    cron_id = serializers.CharField()
    jobs = serializers.IntegerField()


class UsageOutput(AmountsOutput):
    window_days = serializers.IntegerField()
    first_day = serializers.DateField()
    last_day = serializers.DateField(help_text="Today, as far as it has gone.")
    as_of = serializers.DateTimeField()
    total_jobs = serializers.IntegerField()
    storage_bytes = serializers.IntegerField(help_text="What workspaces and uploads take now.")
    by_day = DayOutput(many=True, help_text="Every day of the window, the oldest first.")
    by_workspace = WorkspaceUsageOutput(many=True, help_text=f"At most {ROWS_LIMIT}, the most used first.")
    workspaces_total = serializers.IntegerField()
    by_token = TokenUsageOutput(many=True, help_text=f"At most {ROWS_LIMIT}, the most used first.")
    tokens_total = serializers.IntegerField()
    by_cron = CronUsageOutput(many=True, help_text="Empty until this server has schedules.")


def usage_object(report: Report) -> dict[str, Any]:
    window = report.window
    return {
        "window_days": (window.last - window.first).days + 1,
        "first_day": window.first.isoformat(),
        "last_day": window.last.isoformat(),
        "as_of": stamp(window.now),
        "total_jobs": report.total.jobs,
        **_amounts(report.total),
        "storage_bytes": report.storage_bytes,
        "by_day": [{"day": day.isoformat(), **_counted(amounts)} for day, amounts in report.days],
        "by_workspace": [
            {
                "workspace": name or None,
                **_counted(amounts),
                "storage_bytes": report.stored.get(name, 0),
            }
            for name, amounts in report.workspaces[:ROWS_LIMIT]
        ],
        "workspaces_total": len(report.workspaces),
        "by_token": [_of_token(found) for found in report.tokens[:ROWS_LIMIT]],
        "tokens_total": len(report.tokens),
        "by_cron": [],
    }


def _of_token(found: TokenUsage) -> dict[str, Any]:
    token = found.token
    return {
        "token_id": token.pk if token else None,
        "name": token.name if token else None,
        "prefix": token.prefix if token else None,
        "revoked": token is not None and token.revoked_at is not None,
        **_counted(found.amounts),
    }


def _counted(amounts: Amounts) -> dict[str, Any]:
    return {"jobs": amounts.jobs, **_amounts(amounts)}


def _amounts(amounts: Amounts) -> dict[str, Any]:
    return {
        "vm_seconds": seconds(amounts.awake_ms),
        "asleep_seconds": seconds(amounts.asleep_ms),
        "cpu_seconds": seconds(amounts.cpu_ms),
        "memory_gb_hours": memory_gb_hours(amounts.memory_mb_s),
        "storage_gb_hours": gb_hours(amounts.storage_byte_ms),
        "received_bytes": amounts.received_bytes,
        "sent_bytes": amounts.sent_bytes,
    }
