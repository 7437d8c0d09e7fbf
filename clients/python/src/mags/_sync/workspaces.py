# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""Calls about workspaces and their versions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from mags import wire
from mags._sync.connection import Connection
from mags.errors import MagsError

if TYPE_CHECKING:
    from mags.types import Diff, Receipt, Version, VersionList, Workspace, WorkspaceList

DIFF_WAIT_S = 60.0  # the server answers "not yet" after half of it
DIFF_LIMIT_S = 700.0  # hosts give up after 600 s
SYNC_WAIT_S = 600.0  # the first sync of a large workspace moves all of it


class Workspaces(Connection):
    """Save, list, compare, restore, fork, resize and delete workspaces, by their names."""

    def sync(self, request_id: str) -> Receipt:
        """Save the workspace of a job (its id, its name or the workspace's) while the job runs.

        The answer is the receipt of a version that is stored for good.
        """
        path = wire.job_path(request_id, "sync")
        return cast("Receipt", self._call(wire.Request("POST", path, wait_s=SYNC_WAIT_S)))

    def list_workspaces(self, *, page: int = 1, page_size: int = 20) -> WorkspaceList:
        """Your workspaces, newest first."""
        query = {"page": page, "page_size": page_size}
        return cast("WorkspaceList", self._call(wire.Request("GET", "/mags-workspaces", query=query)))

    def workspace(self, name: str) -> Workspace:
        """One workspace."""
        return cast("Workspace", self._call(wire.Request("GET", wire.workspace_path(name))))

    def resize(self, workspace: str, disk_gb: int) -> Workspace:
        """Give a workspace another disk limit. A running sandbox has it at once and runs on."""
        request = wire.Request("PATCH", wire.workspace_path(workspace), body={"disk_gb": disk_gb})
        return cast("Workspace", self._call(request))

    def delete_workspace(self, workspace_id: str) -> dict[str, Any]:
        """Delete a workspace with all its versions, for good. Refused while a job uses it."""
        return self._call(wire.Request("DELETE", wire.workspace_path(workspace_id)))

    def workspace_versions(self, workspace: str, *, page: int = 1, page_size: int = 20) -> VersionList:
        """The saved versions of a workspace, newest first."""
        path = wire.workspace_path(workspace, "versions")
        query = {"page": page, "page_size": page_size}
        return cast("VersionList", self._call(wire.Request("GET", path, query=query)))

    def workspace_restore(self, workspace: str, version: int) -> Version:
        """Make a new version that is like an old one, and return it. Nothing is overwritten."""
        path = wire.workspace_path(workspace, "restore")
        return cast("Version", self._call(wire.creation(path, {"version": version})))

    def workspace_diff(
        self, workspace: str, from_version: int | None = None, to_version: int | None = None
    ) -> Diff:
        """Which paths differ between two versions: unless given, the newest and the one before it.

        Waits while a host compares them. A byte of a name that is not UTF-8 is a surrogate, as in
        `os.fsdecode`.
        """
        path = wire.workspace_path(workspace, "diff")
        query = {"from": from_version, "to": to_version}
        request = wire.Request("GET", path, query=query, wait_s=DIFF_WAIT_S)
        give_up_at = time.monotonic() + DIFF_LIMIT_S
        while True:
            diff = self._compared(request, is_last=time.monotonic() > give_up_at)
            if diff is not None:
                return diff

    def _compared(self, request: wire.Request, *, is_last: bool) -> Diff | None:
        """None while a host is still at it."""
        try:
            return cast("Diff", self._call(request))
        except MagsError as error:
            if error.code != "diff_pending" or is_last:
                raise
            return None

    def workspace_fork(self, workspace: str, name: str, version: int | None = None) -> Workspace:
        """Make a new workspace `name` that begins as a version of this one, the newest unless given.

        Nothing is copied, and neither sees what becomes of the other.
        """
        body = {"name": name} if version is None else {"name": name, "version": version}
        request = wire.creation(wire.workspace_path(workspace, "fork"), body)
        return cast("Workspace", self._call(request))
