"""Every read of sandboxes."""

from __future__ import annotations

from hosts.models import Host
from hosts.services import host_require_boot
from sandboxes.errors import StaleSandbox
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase


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
