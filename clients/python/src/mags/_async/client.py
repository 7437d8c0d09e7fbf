"""The client: one method per thing the server can do."""

from __future__ import annotations

from mags._async.account import Account
from mags._async.execs import Execs
from mags._async.files import Files
from mags._async.images import Images
from mags._async.sandboxes import Sandboxes
from mags._async.ssh import Ssh
from mags._async.urls import Urls
from mags._async.usage import Usage
from mags._async.workspaces import Workspaces


class AsyncMags(Sandboxes, Execs, Workspaces, Urls, Ssh, Files, Images, Usage, Account):
    """A connection to a Mags server.

    Server and token come from the arguments, else from MAGS_API_URL and MAGS_API_TOKEN (then
    MAGS_TOKEN), else from what `mags login` saved. Wherever a job is asked for, its id or its
    name will do. Every method raises MagsError when the server refuses or cannot be reached.

    `timeout` is how long to wait for an answer, `retry_for` how long to go on trying when the
    server cannot be reached or is too busy, `reconnect_for` the same while following a job: all in
    seconds. Repeating is safe: submissions carry an Idempotency-Key.
    """
