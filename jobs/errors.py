"""What can go wrong with a job, in words for people and slugs for programs."""

from __future__ import annotations

from core.errors import Conflict, Invalid, NotFound, TooLarge


class JobNotFound(NotFound):
    code = "job_not_found"
    default_message = "There is no such job."
    default_remediation = "Check the id or name; `GET /api/v1/mags-jobs` lists your jobs."


class ScriptTooLarge(TooLarge):
    code = "script_too_large"
    default_remediation = "Fetch large inputs from inside the script instead of embedding them."


class NotAvailableYet(Invalid):
    code = "not_available_yet"
    default_remediation = "Leave the named fields out; this server runs ephemeral jobs."


class NotPersistent(Invalid):
    code = "not_persistent"
    default_message = "Only a persistent job has a start-up command or can be kept awake."
    default_remediation = "Submit the job as persistent once this server offers it."


class NeverFits(Invalid):
    code = "never_fits"
    default_remediation = "Ask for less, or add a larger host."


class StaleLease(Conflict):
    code = "stale_lease"
    default_message = "This lease has ended or is not yours."
    default_remediation = "Kill the sandbox and forget the lease."


class WrongOffset(Conflict):
    """Log bytes that do not begin where the stored ones end. `expected` is where they do."""

    code = "offset"
    default_message = "The bytes do not begin where the stored ones end."
    default_remediation = "Send again from `expected`."

    def __init__(self, expected: int) -> None:
        self.expected = expected
        super().__init__()
