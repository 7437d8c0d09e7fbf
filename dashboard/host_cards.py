"""How hosts, and what runs on them, are worded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from hosts.models import Host, HostEvent
from hosts.states import HostEventKind, HostState
from jobs.models import Lease
from sandboxes.models import Sandbox

LABELS = {
    HostState.NEW: ("Not started yet", "waiting", "It has enrolled. Start mags-agent on it."),
    HostState.ONLINE: ("Online", "ok", "It takes work."),
    HostState.DRAINING: ("Draining", "waiting", "It finishes what it has and takes nothing new."),
    HostState.LOST: ("Lost", "bad", "Its agent has fallen silent. What ran there was given up."),
    HostState.REVOKED: ("Revoked", "quiet", "Its key is refused for good."),
}
MB_PER_GB = 1024
EVENTS = {
    HostEventKind.ENROLLED: "Joined with a one-time token",
    HostEventKind.BOOTED: "Its agent started",
    HostEventKind.LOST: "Fell silent; what ran there was given up",
    HostEventKind.BACK: "Was heard of again",
    HostEventKind.DRAINED: "Draining began",
    HostEventKind.UNDRAINED: "Takes work again",
    HostEventKind.REVOKED: "Revoked",
}


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of something is used."""

    label: str
    used: int
    total: int
    words: str

    @property
    def percent(self) -> int:
        """At most 100: capacity may shrink below what runs."""
        return min(100, self.used * 100 // self.total) if self.total else 0


@dataclass(frozen=True, slots=True)
class HostCard:
    host: Host
    label: str
    tone: str
    sentence: str
    href: str
    meters: tuple[Meter, ...]
    runs: int
    kept: int

    @property
    def can_drain(self) -> bool:
        return self.host.revoked_at is None and not self.host.is_draining

    @property
    def can_undrain(self) -> bool:
        return self.host.revoked_at is None and self.host.is_draining

    @property
    def can_revoke(self) -> bool:
        return self.host.revoked_at is None

    @property
    def address(self) -> str:
        """Where gateways reach its sandboxes."""
        if self.host.data_address is None:
            return ""
        bracketed = f"[{self.host.data_address}]" if ":" in self.host.data_address else self.host.data_address
        return f"{bracketed}:{self.host.data_port}"


@dataclass(frozen=True, slots=True)
class Occupant:
    """A job or a kept sandbox on a host."""

    name: str
    admin_href: str
    owner: str
    label: str
    tone: str
    since: datetime


@dataclass(frozen=True, slots=True)
class EventLine:
    at: datetime
    text: str
    by: str


def host_card(host: Host) -> HostCard:
    """Of a host as `hosts_with_load` reads it."""
    label, tone, sentence = LABELS[host.state]
    used_vcpus: int = vars(host)["used_vcpus"]
    meters = (
        _count("Sandboxes", host.used_sandboxes, host.capacity_sandboxes),
        _count("vCPUs", used_vcpus, host.capacity_vcpus),
        _memory(host.used_memory_mb, host.capacity_memory_mb),
    )
    return HostCard(
        host=host, label=label, tone=tone, sentence=sentence, meters=meters,
        href=reverse("dashboard:host", args=[host.pk]),
        runs=vars(host)["live_leases"], kept=vars(host)["live_sandboxes"],
    )  # fmt: skip


def _count(label: str, used: int, total: int) -> Meter:
    return Meter(label, used, total, f"{used} / {total}")


def _memory(used_mb: int, total_mb: int) -> Meter:
    return Meter("Memory", used_mb, total_mb, f"{used_mb / MB_PER_GB:.1f} / {total_mb / MB_PER_GB:.1f} GB")


def occupants(leases: Iterable[Lease], sandboxes: Iterable[Sandbox]) -> list[Occupant]:
    return [*map(_of_lease, leases), *map(_of_sandbox, sandboxes)]


def _of_lease(lease: Lease) -> Occupant:
    job = lease.job
    is_stopping = lease.is_stop_wished
    return Occupant(
        name=job.name or str(job.pk)[:8],
        admin_href=reverse("admin:jobs_job_change", args=[job.pk]),
        owner=job.owner.email,
        label="Stopping" if is_stopping else "Running" if job.started_at else "Starting",
        tone="running",
        since=lease.created_at,
    )


def _of_sandbox(sandbox: Sandbox) -> Occupant:
    return Occupant(
        name=sandbox.workspace.name if sandbox.workspace else sandbox.pk,
        admin_href=reverse("admin:sandboxes_sandbox_change", args=[sandbox.pk]),
        owner=sandbox.owner.email,
        label="Asleep" if sandbox.asleep_since else "Idle",
        tone="quiet" if sandbox.asleep_since else "ok",
        since=sandbox.created_at,
    )


def event_lines(events: Iterable[HostEvent]) -> list[EventLine]:
    return [EventLine(event.at, EVENTS[HostEventKind(event.kind)], event.by) for event in events]
