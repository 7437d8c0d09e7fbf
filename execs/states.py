"""The states of an exec, and every move that is allowed. Pure data."""

from __future__ import annotations

from enum import StrEnum

from execwire.frames import Outcome


class ExecState(StrEnum):
    # Written before the host is asked. Holds: it was not started, or nobody has told us yet.
    STARTING = "starting"
    RUNNING = "running"  # the host said that it was started
    ENDED = "ended"  # final: `reason` says how, and never changes


EXEC_TRANSITIONS: dict[ExecState, frozenset[ExecState]] = {
    ExecState.STARTING: frozenset({ExecState.RUNNING, ExecState.ENDED}),
    ExecState.RUNNING: frozenset({ExecState.ENDED}),
    ExecState.ENDED: frozenset(),
}


class ExecEnd(StrEnum):
    """How an exec ended."""

    EXITED = "exited"  # by itself, with `exit_code`
    SIGNALED = "signaled"  # also by a wish to kill it; `exit_code` is 128 and the signal's number
    TIMED_OUT = "timed_out"  # `exit_code` is 124, as of timeout(1)
    OOM = "oom"  # the sandbox's memory was full
    LOST = "lost"  # nobody knows: its sandbox went, or its host lost it. No `exit_code`
    NOT_STARTED = "not_started"  # nothing of it ran. No `exit_code`


WITHOUT_EXIT_CODE = frozenset({ExecEnd.LOST, ExecEnd.NOT_STARTED})


class Origin(StrEnum):
    """Where the wish came from."""

    API = "api"  # REST
    SOCKET = "socket"  # WebSocket, without a terminal
    TERMINAL = "terminal"
    STARTUP = "startup"  # the sandbox's start-up command; its host started it by itself


TIMED_OUT_EXIT_CODE = 124
ENDS: dict[Outcome, ExecEnd] = {
    Outcome.EXITED: ExecEnd.EXITED,
    Outcome.SIGNALED: ExecEnd.SIGNALED,
    Outcome.KILLED: ExecEnd.SIGNALED,
    Outcome.TIMED_OUT: ExecEnd.TIMED_OUT,
    Outcome.OOM: ExecEnd.OOM,
    Outcome.LOST: ExecEnd.LOST,
}
