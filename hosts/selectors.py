"""Every read of hosts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import ExpressionWrapper, F, FloatField, QuerySet

from core.prepared import Param, Prepared
from hosts.models import HAS_ROOM, Host

_BY_KEY_DIGEST = Prepared(lambda: Host.objects.filter(key_digest=Param("digest"), revoked_at__isnull=True))
_BY_ID = Prepared(lambda: Host.objects.filter(pk=Param("host_id", Host._meta.pk)))


def hosts_candidates(memory_mb: int) -> QuerySet[Host]:
    """Hosts that could take one more sandbox of this size, the least loaded first."""
    load = ExpressionWrapper(F("used_sandboxes") * 1.0 / F("capacity_sandboxes"), output_field=FloatField())
    return (
        hosts_taking_work()
        .filter(HAS_ROOM, used_memory_mb__lte=F("capacity_memory_mb") - memory_mb)
        .order_by(load, "name")
    )


def hosts_taking_work() -> QuerySet[Host]:
    """Online, not draining, not revoked; perhaps full."""
    return Host.objects.filter(
        is_online=True, is_draining=False, is_agent_draining=False, revoked_at__isnull=True
    )


def hosts_silent(since: datetime) -> QuerySet[Host]:
    """Hosts that count as online and were last heard of before `since`."""
    return Host.objects.filter(is_online=True, last_seen_at__lt=since)


def host_by_key_digest(digest: str) -> Host | None:
    return _BY_KEY_DIGEST.first(digest=digest)


def host_get(host_id: UUID) -> Host:
    host = _BY_ID.first(host_id=host_id)
    if host is None:
        raise Host.DoesNotExist
    return host


def host_list() -> QuerySet[Host]:
    return Host.objects.order_by("name")
