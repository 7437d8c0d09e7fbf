"""What can go wrong with an exec, in words for people and slugs for programs."""

from __future__ import annotations

from core.errors import Conflict, Invalid, MagsError, NotFound, Unavailable


class ExecNotFound(NotFound):
    code = "exec_not_found"
    default_message = "There is no such exec."
    default_remediation = "Check the id; `GET /api/v1/mags-jobs/{job}/execs` lists a job's execs."


class NoSandbox(Conflict):
    code = "no_sandbox"
    default_message = "The job has no sandbox for commands: it lives with its script only."
    default_remediation = "Submit the job with `persistent`, or with a `workspace_id` and while it runs."


class ExecElsewhere(Conflict):
    code = "exec_id_taken"
    default_message = "This exec_id was used for another exec."
    default_remediation = "Use a new random id for each exec, or leave it out."


class BadCommand(Invalid):
    code = "bad_command"
    default_message = "The host does not take this command."


class NotStarted(Conflict):
    """Nothing of the command ran."""

    code = "not_started"
    default_message = "The command could not be started."
    default_remediation = "What the message names must be there before commands can run; then try again."


class TooManyExecs(Unavailable):
    code = "too_many_execs"
    default_message = "As many commands run in this sandbox as may."
    default_remediation = "Wait for one of them to end, or end one, and try again."


class SandboxGone(Unavailable):
    code = "sandbox_gone"
    default_message = "The sandbox ended just now; the command was not started."
    default_remediation = "Try again: the sandbox is started anew."


class HostUnreachable(MagsError):
    code = "host_unreachable"
    status = 504
    default_message = "The sandbox's host does not answer. What was started goes on."
    default_remediation = "Look at the exec again in a few seconds; do not start the command a second time."
    default_retryable = True


class OutcomeUnknown(HostUnreachable):
    default_message = "What became of the command is not known yet; it may have run."


class NoDataPort(Conflict):
    code = "no_data_port"
    default_message = "The sandbox runs on a host that takes no commands: its agent names no data port."
    default_remediation = "Ask an administrator of this server to start the host's data port."


class OutputGone(MagsError):
    code = "output_gone"
    status = 410
    default_message = "The output is not kept any more."
    default_remediation = "Output is kept for an hour after the end, and as long as the sandbox lives."


class InputOverflow(Invalid):
    code = "input_overflow"
    default_message = "More input was sent than the command has read."
    default_remediation = "Send at most 256 KiB more than the last `stdin` message has counted."


class BadMessage(Invalid):
    code = "bad_message"
    default_message = "A message could not be read."
    default_remediation = "docs/reference/websocket.md has the messages."
