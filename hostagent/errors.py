"""The agent's own failures. A job's end is data (`Exit`, an outcome), never an exception."""

from __future__ import annotations


class AgentError(Exception):
    """Root of all. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)
        self.message = message
        self.hint = hint


class ConfigError(AgentError):
    """A setting is missing, half set or out of range."""


class DriverError(AgentError):
    """A sandbox could not be made, started or ended."""


class ImageMissing(DriverError):
    """A sandbox is to stand on an image, or a build of one, that is not on this host."""


class SandboxFrozen(DriverError):
    """Nothing starts in a sandbox that is frozen, and nothing of this has."""


class SandboxLost(DriverError):
    """A sandbox's end cannot be known: its shim is gone and left no exit file."""


class ApiError(AgentError):
    """The control plane refused a call: `status` and `code` as it answered."""

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{status} {code}: {message}", hint)
        self.status = status
        self.code = code


class Unreachable(AgentError):
    """The control plane did not answer, or not sensibly: worth another try."""


class StaleBoot(AgentError):
    """Another life of this agent has taken over: this one must end without touching anything."""


class StaleSandbox(AgentError):
    """The control plane has given the sandbox's workspace away, or its head is another one: nothing of it may
    be published any more."""
