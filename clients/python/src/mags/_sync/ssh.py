# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""Calls about SSH."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from mags import wire
from mags._sync.connection import Connection
from mags._sync.urls import ACCESS_WAIT_S
from mags.errors import MagsError

if TYPE_CHECKING:
    from mags.types import SshAccess, SshKeyRevoked

SSH_PORT = 22
UNTIL_UP_S = 120.0  # a host may have to fetch the files first
NOT_YET = ("sandbox_starting", "ssh_not_open")  # the server has waited, and says that it takes longer
AGAIN_S = 0.5


class Ssh(Connection):
    """Log in to sandboxes that stay."""

    def ssh(self, name_or_id: str, *, timeout: float = UNTIL_UP_S) -> SshAccess:
        """Where and with which key to log in to a job's sandbox. One that sleeps is woken; answers when it
        is up. The key stays the same until you revoke it."""
        deadline = time.monotonic() + timeout
        path = wire.job_path(name_or_id, "access")
        request = wire.Request("POST", path, body={"port": SSH_PORT}, wait_s=ACCESS_WAIT_S)
        while True:
            try:
                return cast("SshAccess", self._call(request))
            except MagsError as error:
                if error.code not in NOT_YET or time.monotonic() >= deadline:
                    raise
            time.sleep(AGAIN_S)

    def ssh_key_revoke(self, name_or_id: str) -> SshKeyRevoked:
        """Let your key open nothing any more, and end the sessions that are open."""
        request = wire.Request("DELETE", wire.job_path(name_or_id, "ssh-key"))
        return cast("SshKeyRevoked", self._call(request))
