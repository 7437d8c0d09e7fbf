"""What can go wrong with hosts."""

from __future__ import annotations

from core.errors import Conflict, Forbidden, NotFound, Unauthorized, Unavailable


class BadHostKey(Unauthorized):
    code = "bad_host_key"
    default_message = "This host key is not known, or was revoked."
    default_remediation = "Enrol the host again with a token from `manage.py host_enrolment_token`."


class BadEnrolmentToken(Forbidden):
    code = "bad_enrolment_token"
    default_message = "This enrolment token is not known, was used already, or has expired."
    default_remediation = "Make a new one with `manage.py host_enrolment_token`."


class HostNameTaken(Conflict):
    code = "host_name_taken"
    default_message = "A host with this name exists already."
    default_remediation = (
        "Enrol under another name (MAGS_AGENT_HOST_NAME). If that host is gone for good, or it is this very"
        " machine after its agent lost its key, `manage.py host_revoke NAME` (with `make up`:"
        " `deploy/manage host_revoke NAME`) frees the name."
    )


class StaleBoot(Conflict):
    code = "stale_boot"
    default_message = "A newer life of this host's agent has booted."
    default_remediation = "Stop this agent; the newer one has taken over."


class NoSuchHost(NotFound):
    code = "no_such_host"
    default_message = "There is no host of this name."
    default_remediation = "`manage.py host_list` shows the names."


class NoTicketKey(Unavailable):
    code = "no_ticket_key"
    default_message = "This server has no key to sign tickets with, so no URL works."
    default_remediation = "Set MAGS_TICKET_KEY; `make up` makes one."
    default_retryable = False
