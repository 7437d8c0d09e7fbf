"""What can go wrong with a job, in words for people and slugs for programs."""

from __future__ import annotations

from core.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable


class JobNotFound(NotFound):
    code = "job_not_found"
    default_message = "There is no such job."
    default_remediation = "Check the id or name; `GET /api/v1/mags-jobs` lists your jobs."


class ScriptTooLarge(TooLarge):
    code = "script_too_large"
    default_remediation = "Fetch large inputs from inside the script instead of embedding them."


class NotPersistent(Invalid):
    code = "not_persistent"
    default_message = "Only a persistent job has a URL or a start-up command, or can be kept awake."
    default_remediation = "Submit the job with `persistent` and a `workspace_id`."


class Superseded(Conflict):
    code = "superseded"
    default_message = "A newer job on the workspace says what its sandbox is to be like."


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


class BaseNotSaved(Conflict):
    code = "base_not_saved"
    default_message = "The base has no version to build on."
    default_remediation = "Sync a job that runs on it, then submit again."


class WrongImage(Conflict):
    code = "wrong_image"
    default_message = "The workspace was made with another image."
    default_remediation = "Leave `rootfs_type` out, or use another workspace."


class SameFileName(Invalid):
    code = "same_file_name"
    default_message = "Two of the files have the same name."
    default_remediation = "Upload one of them under another name."


class NothingToSave(Conflict):
    code = "nothing_to_save"
    default_message = "The job has no workspace that could be saved."
    default_remediation = "Submit with `workspace_id`; add `persistent` to keep its sandbox."


class SyncLost(Conflict):
    code = "sync_lost"
    default_message = "The sandbox ended before it had saved what was asked for."
    default_remediation = "What was saved before is there: list the workspace's versions, and run again."


class NotSavedInTime(Unavailable):
    code = "not_saved_yet"
    default_message = "The workspace is not saved yet; the host goes on trying."
    default_remediation = "Ask again in a few seconds."


class SandboxStopped(Conflict):
    code = "sandbox_stopped"
    default_message = "The job's sandbox is stopped."
    default_remediation = "Run a job on its workspace: the URL leads to that one's sandbox then."


class SandboxStarting(Unavailable):
    code = "sandbox_starting"
    default_message = "The job's sandbox is not up yet."
    default_remediation = "Ask again in a few seconds; the job's `message` says what it waits for."


class SshNotOpen(Unavailable):
    code = "ssh_not_open"
    default_remediation = (
        "Ask again in a few seconds. If that lasts, its operator should look at the gateway."
    )


class NoSshKey(NotFound):
    code = "no_ssh_key"
    default_message = "You have no SSH key to this job's sandbox."
    default_remediation = "`POST /api/v1/mags-jobs/{job}/access` with port 22 gives you one."


class CannotWake(Conflict):
    """Its words are shown to visitors of a URL too."""

    code = "cannot_wake"
    default_message = "The sandbox has ended, and there is nothing that it could come back from."
    default_remediation = "Run a job on the workspace: everything of it leads to that one's sandbox then."
