"""What can go wrong with sandboxes."""

from __future__ import annotations

from core.errors import Conflict


class StaleSandbox(Conflict):
    code = "stale_lease"
    default_message = "This sandbox has ended, is not yours, or has another epoch."
    default_remediation = "Stop the sandbox and forget it; keep its data until the server asks for it."


class NothingSaved(Conflict):
    code = "not_saved"
    default_message = "The workspace has no durable version that this could stand for."
    default_remediation = "Commit a version."
