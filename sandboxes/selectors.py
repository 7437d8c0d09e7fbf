"""Every read of sandboxes."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from hosts.models import Host
from hosts.services import host_require_boot
from sandboxes.errors import StaleSandbox
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase

DROP_LIMIT = 10_000  # far more than a host holds


def sandbox_of_host(host: Host, boot_epoch: int, sandbox_id: str, epoch: int) -> Sandbox:
    """The live sandbox that this life of the host's agent runs under this epoch.

    Raises StaleBoot or StaleSandbox. A writer asks again in its transaction (`sandbox_keep`).
    """
    host_require_boot(host, boot_epoch)
    live = Sandbox.objects.exclude(state=SandboxPhase.ENDED).select_related("workspace")
    found = live.filter(pk=sandbox_id, host=host, epoch=epoch).first()
    if found is None:
        raise StaleSandbox
    return found


def sandboxes_of_host(host: Host, ids: Iterable[str]) -> list[Sandbox]:
    """Those of these ids that are or were the host's, with what a report about them needs."""
    named = Sandbox.objects.filter(host=host, pk__in=list(ids))
    return list(named.select_related("host", "workspace__head"))


def sandboxes_live(host_id: UUID) -> list[Sandbox]:
    """What the host is to have, with what the wire form needs."""
    live = Sandbox.objects.filter(host_id=host_id).exclude(state=SandboxPhase.ENDED)
    return list(live.select_related("workspace__head").order_by("created_at", "pk"))


def sandboxes_changed(host_id: UUID, after: int) -> tuple[list[Sandbox], list[str]]:
    """The host's live sandboxes that changed after the revision, and those that were ended without it."""
    changed = Sandbox.objects.filter(host_id=host_id, revision__gt=after)
    live = changed.exclude(state=SandboxPhase.ENDED).select_related("workspace__head").order_by("revision")
    ended = changed.filter(state=SandboxPhase.ENDED).order_by("-revision").values_list("pk", flat=True)
    return list(live), list(ended[:DROP_LIMIT])
