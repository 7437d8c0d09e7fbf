# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""Calls about public URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from mags import wire
from mags._sync.connection import Connection

if TYPE_CHECKING:
    from mags.types import Access, Alias, AliasList

ACCESS_WAIT_S = 20.0  # the server waits so long for the sandbox


class Urls(Connection):
    """Give sandboxes public URLs, and names of your own."""

    def enable_access(self, request_id: str, *, port: int = 8080) -> Access:
        """Let the public URL of a job's sandbox lead to a port. Answers when the sandbox is up."""
        path = wire.job_path(request_id, "access")
        request = wire.Request("POST", path, body={"port": port}, wait_s=ACCESS_WAIT_S)
        return cast("Access", self._call(request))

    def url(self, name_or_id: str, *, port: int = 8080) -> Access:
        """As `enable_access`: the job's id, its name or its workspace's will do."""
        return self.enable_access(name_or_id, port=port)

    def url_alias_create(self, subdomain: str, workspace_id: str, *, port: int | None = None) -> Alias:
        """Give the URL of a workspace a name of your choice.

        It leads to whatever sandbox has the workspace. Without `port` it leads where the workspace's own
        URL does.
        """
        body = {"subdomain": subdomain, "workspace_id": workspace_id}
        given = body if port is None else {**body, "port": port}
        return cast("Alias", self._call(wire.creation("/mags-url-aliases", given)))

    def url_alias_list(self, *, page: int = 1, page_size: int = 20) -> AliasList:
        """Your aliases, newest first."""
        query = {"page": page, "page_size": page_size}
        return cast("AliasList", self._call(wire.Request("GET", "/mags-url-aliases", query=query)))

    def url_alias_delete(self, subdomain: str) -> dict[str, Any]:
        """Give a name back. For some weeks nobody but you can have it again."""
        return self._call(wire.Request("DELETE", wire.alias_path(subdomain)))
