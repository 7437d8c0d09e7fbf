"""The shapes of the answers about execs. They are plain dicts at run time, with every key the server sent."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class ExecEnd(TypedDict):
    """How a command ended. `exit_code` is None where nobody knows it."""

    exec_id: str
    exit_code: int | None
    reason: Literal["exited", "signaled", "timed_out", "oom", "lost", "not_started"]
    message: str | None
    stdout_bytes: int | None
    stderr_bytes: int | None


class _Exact(TypedDict, total=False):
    """The exact bytes, where the text is not: it is UTF-8 with replacements."""

    stdout_base64: str
    stderr_base64: str


class ExecResult(ExecEnd, _Exact):
    """The same with its output."""

    state: str
    stdout: str
    output: str  # stdout, under the name that the published client gave it
    stderr: str
    truncated_bytes: int
    next_offsets: dict[str, int]


class Exec(TypedDict):
    """One command in one sandbox."""

    exec_id: str
    job_id: str
    vm_id: str | None
    command: str | None  # None: a login shell
    terminal: bool
    timeout: int | None
    origin: Literal["api", "socket", "terminal", "startup"]
    token: str | None
    state: Literal["starting", "running", "ended"]
    reason: str | None
    message: str | None
    exit_code: int | None
    stdout_bytes: int | None
    stderr_bytes: int | None
    created_at: str
    started_at: str | None
    ended_at: str | None


class ExecList(TypedDict):
    execs: list[Exec]
    total: int
    page: int
    page_size: int


class _ExactPage(TypedDict, total=False):
    data_base64: str


class ExecPage(_ExactPage):
    """A part of a stream. `end` is there once nothing follows."""

    exec_id: str
    stream: str
    offset: int
    data: str
    gap_bytes: int
    next_offset: int
    end: dict[str, Any] | None
