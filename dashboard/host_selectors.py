"""What the pages of hosts read. For staff, who see what runs of everybody."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, Count, IntegerField, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from hosts.models import Host, HostEvent
from jobs.models import Lease
from jobs.states import LeaseState
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase


def hosts_with_load() -> QuerySet[Host]:
    """With `live_leases`, `live_sandboxes` and `used_vcpus`; those that are gone for good come last."""
    leases = _live_leases().filter(host=OuterRef("pk"))
    sandboxes = _live_sandboxes().filter(host=OuterRef("pk"))
    alone = leases.filter(in_sandbox__isnull=True)  # others run in a sandbox, which has the room
    is_gone = Case(When(revoked_at__isnull=False, then=Value(1)), default=Value(0))
    return Host.objects.annotate(
        live_leases=_of_each(leases, Count("pk")),
        live_sandboxes=_of_each(sandboxes, Count("pk")),
        used_vcpus=_of_each(alone, Sum("job__vcpus")) + _of_each(sandboxes, Sum("vcpus")),
    ).order_by(is_gone, "name", "-created_at")


def leases_on(host: Host) -> QuerySet[Lease]:
    """What runs there now, the newest first."""
    return _live_leases().filter(host=host).select_related("job__owner", "in_sandbox").order_by("-pk")


def sandboxes_idle_on(host: Host) -> QuerySet[Sandbox]:
    """Those that are kept there while no script runs in them."""
    busy = _live_leases().filter(host=host, in_sandbox__isnull=False).values("in_sandbox")
    live = _live_sandboxes().filter(host=host).exclude(pk__in=busy)
    return live.select_related("owner", "workspace").order_by("-created_at")


def host_events(host: Host) -> QuerySet[HostEvent]:
    return HostEvent.objects.filter(host=host).order_by("-pk")


def _live_leases() -> QuerySet[Lease]:
    return Lease.objects.exclude(state=LeaseState.ENDED)


def _live_sandboxes() -> QuerySet[Sandbox]:
    return Sandbox.objects.exclude(state=SandboxPhase.ENDED)


def _of_each(rows: QuerySet[Any], figure: Count | Sum) -> Coalesce:
    grouped = rows.order_by().values("host").annotate(figure=figure).values("figure")
    return Coalesce(Subquery(grouped, output_field=IntegerField()), 0)
