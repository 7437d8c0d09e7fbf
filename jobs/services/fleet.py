"""What a host's boot, silence or removal does to the jobs it holds."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from hosts.models import Host
from hosts.selectors import hosts_silent
from hosts.services import Boot, Capacity, DataAddress, host_boot, host_offline, host_sandbox_revision_next
from jobs.models import FleetWatch, Lease
from jobs.services.afterlife import recover_due
from jobs.services.draining import hosts_empty
from jobs.services.held import sandbox_over
from jobs.services.leases import End, Outcome, lease_end
from jobs.services.schedule import schedule_waiting
from jobs.states import LeaseState
from sandboxes.models import Sandbox
from sandboxes.selectors import sandboxes_live
from sandboxes.states import SandboxEnd, SandboxPhase

logger = logging.getLogger(__name__)

SWEEP_S = 5  # how often the sweep runs (CELERY_BEAT_SCHEDULE)
# More than this share of a fleet does not die at one moment: the network, or we, did. Below
# MASS_LOSS_HOSTS any loss is a large share.
MASS_LOSS_SHARE = 0.3
MASS_LOSS_HOSTS = 3

HOST_SILENT = "The host was not heard of for {seconds} s."
HOST_REBOOTED = "The host's agent came back without this sandbox."
HOST_REVOKED = "The host was removed."


@dataclass(frozen=True, slots=True)
class BootAnswer:
    """What the booted agent learns: its epoch, the leases it still has, those it must drop."""

    boot_epoch: int
    revision: int
    leases: list[Lease]
    drop: list[int]
    sandboxes: list[Sandbox]
    drop_sandboxes: list[str]


def host_booted(
    host_id: UUID,
    reported: Collection[tuple[int, int]],
    sandboxes: Collection[tuple[str, int]] = (),
    *,
    machine_boot_id: str,
    agent_version: str,
    isolation: str,
    capacity: Capacity,
    data: DataAddress | None = None,
) -> BootAnswer:
    """A new life of an agent: compare the (id, epoch) pairs that it reports with its live leases and
    sandboxes. A lost sandbox takes its leases with it, so sandboxes come first."""
    with transaction.atomic():
        boot = host_boot(
            host_id, machine_boot_id=machine_boot_id, agent_version=agent_version, isolation=isolation,
            capacity=capacity, data=data,
        )  # fmt: skip
        held = _sandboxes_kept(host_id, boot, sandboxes)
        kept = []
        for lease in leases_live(host_id):
            is_unstarted = lease.state == LeaseState.OFFERED and not boot.is_machine_rebooted
            if (lease.pk, lease.epoch) in reported or is_unstarted:
                kept.append(lease)
            else:
                lease_end(lease, End(Outcome.LOST, message=HOST_REBOOTED))
        known = {(lease.pk, lease.epoch) for lease in kept}
        drop = [lease_id for lease_id, epoch in reported if (lease_id, epoch) not in known]
        alive = {(sandbox.pk, sandbox.epoch) for sandbox in held}
        drop_sandboxes = [sandbox_id for sandbox_id, epoch in sandboxes if (sandbox_id, epoch) not in alive]
    schedule_waiting(explain=True)
    return BootAnswer(boot.epoch, boot.revision, kept, drop, held, drop_sandboxes)


def _sandboxes_kept(host_id: UUID, boot: Boot, reported: Collection[tuple[str, int]]) -> list[Sandbox]:
    kept = []
    for sandbox in sandboxes_live(host_id):
        is_unstarted = sandbox.state == SandboxPhase.OFFERED and not boot.is_machine_rebooted
        if (sandbox.pk, sandbox.epoch) in reported or is_unstarted:
            kept.append(sandbox)
        else:
            sandbox_over(sandbox, SandboxEnd.LOST, HOST_REBOOTED, with_host=True)
    return kept


def leases_live(host_id: UUID) -> list[Lease]:
    """The host's leases that are not ended, with their jobs."""
    live = Lease.objects.filter(host_id=host_id).exclude(state=LeaseState.ENDED)
    return list(live.select_related("job").order_by("pk"))


def sweep(*, is_reachable: bool, now: datetime | None = None) -> list[str]:
    """Give up silent hosts, end what removed ones held, empty draining ones, bring back what is always on,
    start what waits. Returns the names of those given up.

    `is_reachable` says whether hosts could have reported just now. Nobody is given up before that was
    so for a full lease period: after an outage of our own, every host looks silent.
    """
    now = now or timezone.now()
    lease = timedelta(seconds=settings.HOST_LEASE_S)
    steady_since = _watch(now, is_reachable=is_reachable)
    lost = _give_up(now - lease) if now - steady_since >= lease else []
    _end_removed()
    hosts_empty()
    recover_due(now)
    schedule_waiting(explain=True)
    return lost


def _watch(now: datetime, *, is_reachable: bool) -> datetime:
    """Since when the control plane has been there without a break."""
    watch, _ = FleetWatch.objects.get_or_create(id=1, defaults={"swept_at": now, "steady_since": now})
    has_gap = now - watch.swept_at > timedelta(seconds=4 * SWEEP_S)  # database, worker or beat were away
    if has_gap or not is_reachable:
        logger.warning("the control plane was away: no host is given up for %d s", settings.HOST_LEASE_S)
        watch.steady_since = now
    watch.swept_at = now
    watch.save(update_fields=["swept_at", "steady_since"])
    return watch.steady_since


def _give_up(silent_since: datetime) -> list[str]:
    silent = list(hosts_silent(silent_since))
    online = Host.objects.filter(is_online=True, revoked_at__isnull=True).count()
    if online > MASS_LOSS_HOSTS and len(silent) > MASS_LOSS_SHARE * online:
        names = ", ".join(sorted(host.name for host in silent))
        logger.error(
            "%d of %d hosts fell silent together (%s): their jobs are left alone. Check the network between"
            " hosts and this server; revoke a host that is really gone.",
            len(silent), online, names,
        )  # fmt: skip
        return []
    message = HOST_SILENT.format(seconds=settings.HOST_LEASE_S)
    return [host.name for host in silent if _lose(host, message, silent_since=silent_since)]


def _end_removed() -> None:
    leases = Lease.objects.exclude(state=LeaseState.ENDED).values("host_id")
    sandboxes = Sandbox.objects.exclude(state=SandboxPhase.ENDED).filter(host__isnull=False).values("host_id")
    removed = Host.objects.filter(revoked_at__isnull=False)
    for host in removed.filter(Q(pk__in=leases) | Q(pk__in=sandboxes)):
        _lose(host, HOST_REVOKED, silent_since=None)


def _lose(host: Host, message: str, *, silent_since: datetime | None) -> bool:
    """End all that a host holds, unless it was heard of meanwhile."""
    with transaction.atomic():
        if silent_since is not None and not host_offline(host.pk, silent_since=silent_since):
            return False
        revision = host_sandbox_revision_next(host.pk)  # a host that comes back learns what to drop
        for sandbox in sandboxes_live(host.pk):
            sandbox_over(sandbox, SandboxEnd.LOST, message, with_host=True, revision=revision)
        for lease in leases_live(host.pk):
            lease_end(lease, End(Outcome.LOST, message=message))
            Lease.objects.filter(pk=lease.pk).update(revision=revision)
    logger.warning("host %s is given up: %s", host.name, message)
    return True
