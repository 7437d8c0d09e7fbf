"""What can go wrong with SSH to sandboxes."""

from __future__ import annotations

from core.errors import Unavailable


class NoSshSecret(Unavailable):
    code = "no_ssh_secret"
    default_message = "SSH is not set up on this server."
    default_remediation = "Its operator has to set MAGS_SSH_SECRET."


class NoPortLeft(Unavailable):
    code = "no_ssh_port"
    default_message = "Every SSH port of this server is taken."
    default_remediation = (
        "Delete a workspace that you no longer need, or ask the operator to make MAGS_SSH_PORTS wider."
    )
