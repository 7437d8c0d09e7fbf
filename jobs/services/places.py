"""Which hosts a sandbox may go to, by where its files are, and why it waits for one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hosts.models import Host
from jobs.services import room
from jobs.states import Reason
from workspaces.models import Workspace

ELSEWHERE = "The workspace was never saved: its only copy is on the host {name}, which {state}."


def candidates(workspace: Workspace | None, hosts: Collection[Host]) -> list[Host]:
    """Where a sandbox with this workspace may be: a copy that was never saved is on one host only."""
    if workspace is not None and workspace.head_id is None:
        where = [host for host in hosts if host.pk == workspace.host_id]
        if where:  # else it was removed, and the copy with it
            return where
    return list(hosts)


def why(need: room.Need, workspace: Workspace | None, hosts: list[Host]) -> dict[str, Any]:
    """Why there is no host for a new sandbox."""
    where = candidates(workspace, hosts)
    if len(where) < len(hosts) and not room.open_ones(where):
        state = "is draining" if where[0].is_online else "is not online"
        return {"reason": Reason.NO_HOST, "message": ELSEWHERE.format(name=where[0].name, state=state)}
    return room.waits(need, where)
