"""What a host's refusal means to the caller of an exec."""

from __future__ import annotations

from core.errors import MagsError
from execs.errors import (
    BadCommand,
    HostUnreachable,
    NotStarted,
    OutcomeUnknown,
    SandboxGone,
    TooManyExecs,
)
from execwire.client import ExecCut, ExecRefused

_BY_CODE: dict[str, type[MagsError]] = {
    "no_sandbox": SandboxGone,
    "too_many_execs": TooManyExecs,
    "not_started": NotStarted,
    "bad_command": BadCommand,
    "no_exec": OutcomeUnknown,  # we know it, or nobody had asked
}
# Said before anything ran, and true from then on: nobody else starts an exec of this id later.
_NOTHING_RAN = frozenset({"too_many_execs", "not_started", "bad_command"})


def as_error(error: Exception, *, may_run: bool = True) -> MagsError:
    """In our words. What nobody expected is raised. `may_run`: before the host said this, it may have been
    asked to start it."""
    if isinstance(error, ExecRefused):
        kind = _BY_CODE.get(error.code, HostUnreachable)
        if may_run and kind is SandboxGone:
            kind = OutcomeUnknown
        words = f"{error}." if kind in (NotStarted, BadCommand) else ""
        return kind(words, retry_after_s=2 if kind.default_retryable else None)
    if isinstance(error, OSError | TimeoutError | ExecCut):
        return HostUnreachable(retry_after_s=2)
    raise error


def is_forgotten(error: Exception) -> bool:
    """The host knows no exec of this id, so that our record is all there is."""
    return isinstance(error, ExecRefused) and error.code == "no_exec"


def is_certainly_not_started(error: Exception) -> bool:
    return isinstance(error, ExecRefused) and error.code in _NOTHING_RAN
