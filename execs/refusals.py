"""What a host's refusal means to the caller of an exec."""

from __future__ import annotations

from core.errors import MagsError
from execs.errors import BadCommand, ExecNotFound, HostUnreachable, NotStarted, SandboxGone, TooManyExecs
from execwire.client import ExecCut, ExecRefused

_BY_CODE: dict[str, type[MagsError]] = {
    "no_sandbox": SandboxGone,
    "too_many_execs": TooManyExecs,
    "not_started": NotStarted,
    "bad_command": BadCommand,
    "no_exec": ExecNotFound,
}
# Said before anything ran, and true from then on: nobody else starts an exec of this id later.
_NOTHING_RAN = frozenset({"too_many_execs", "not_started", "bad_command"})


def as_error(error: Exception) -> MagsError:
    """In our words. What nobody expected is raised."""
    if isinstance(error, ExecRefused):
        kind = _BY_CODE.get(error.code, HostUnreachable)
        words = f"{error}." if kind in (NotStarted, BadCommand) else ""
        return kind(words, retry_after_s=2 if kind.default_retryable else None)
    if isinstance(error, OSError | TimeoutError | ExecCut):
        return HostUnreachable(retry_after_s=2)
    raise error


def is_certainly_not_started(error: Exception) -> bool:
    return isinstance(error, ExecRefused) and error.code in _NOTHING_RAN
