# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""The client: one method per thing the server can do."""

from __future__ import annotations

from mags._sync.account import Account
from mags._sync.execs import Execs
from mags._sync.files import Files
from mags._sync.images import Images
from mags._sync.sandboxes import Sandboxes
from mags._sync.ssh import Ssh
from mags._sync.urls import Urls
from mags._sync.usage import Usage
from mags._sync.workspaces import Workspaces


class Mags(Sandboxes, Execs, Workspaces, Urls, Ssh, Files, Images, Usage, Account):
    """A connection to a Mags server.

    Server and token come from the arguments, else from MAGS_API_URL and MAGS_API_TOKEN (then
    MAGS_TOKEN), else from what `mags login` saved. Wherever a job is asked for, its id or its
    name will do. Every method raises MagsError when the server refuses or cannot be reached.

    `timeout` is how long to wait for an answer, `retry_for` how long to go on trying when the
    server cannot be reached or is too busy, `reconnect_for` the same while following a job: all in
    seconds. Repeating is safe: submissions carry an Idempotency-Key.
    """
