"""Every write to sandboxes."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q

from hosts.models import Host
from hosts.services import host_touch
from sandboxes.errors import StaleSandbox
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase
from workspaces.errors import StaleHold
from workspaces.models import Version
from workspaces.services import Commit, Hold, version_commit


def sandbox_hold(sandbox: Sandbox) -> Hold:
    """The right under which the sandbox writes its workspace. Raises StaleHold where it has none."""
    if sandbox.workspace_id is None:
        raise StaleHold
    return Hold(sandbox.workspace_id, sandbox.pk, sandbox.epoch)


def sandbox_commit(sandbox: Sandbox, host: Host, boot_epoch: int, commit: Commit, *, sync: int) -> Version:
    """Publish a version of the sandbox's workspace, and note which wished sync it answers."""
    version = version_commit(sandbox_hold(sandbox), commit, check=_still_runs(sandbox, host, boot_epoch))
    if sync:
        answered = Sandbox.objects.filter(pk=sandbox.pk, epoch=sandbox.epoch, sync_done__lt=sync)
        answered.filter(sync_wished__gte=sync).update(sync_done=sync)
    return version


def _still_runs(sandbox: Sandbox, host: Host, boot_epoch: int) -> Callable[[], None]:
    def check() -> None:
        host_touch(host.pk, boot_epoch)  # locks the host's row first, as everybody does
        same = Q(pk=sandbox.pk, host=host, epoch=sandbox.epoch)
        live = Sandbox.objects.select_for_update().exclude(state=SandboxPhase.ENDED)
        if live.filter(same).first() is None:
            raise StaleSandbox

    return check
