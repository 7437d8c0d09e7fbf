"""The shapes of the answers. They are plain dicts at run time, with every key the server sent."""

from __future__ import annotations

from typing import TypedDict


class Submitted(TypedDict):
    request_id: str
    status: str
    message: str


class Timings(TypedDict, total=False):
    """How long each stage took, in ms."""

    queued: int
    assigned: int
    restored: int
    started: int


class Job(TypedDict):
    """A job. `status` is accepted, running, completed or error; `reason` says why."""

    request_id: str
    id: str
    name: str | None
    status: str
    reason: str | None
    message: str | None
    exit_code: int | None
    vm_id: str | None
    workspace_id: str | None
    base_workspace_id: str | None
    persistent: bool
    no_sleep: bool
    url: str | None
    ssh: str | None
    durable_at: str | None
    script_duration_ms: int | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    stop_requested_at: str | None
    attempt: int
    revision: int
    vcpus: int
    memory_mb: int
    disk_gb: int
    timeout: int | None
    retries: int
    log_bytes: int
    host: str | None
    isolation: str | None
    sandbox: str
    timings: Timings


class JobList(TypedDict):
    jobs: list[Job]
    total: int
    page: int
    page_size: int


# In two classes, because NotRequired came with Python 3.11.
class _LogEntry(TypedDict):
    timestamp: str
    level: str
    message: str
    stream: str
    offset: int


class LogEntry(_LogEntry, total=False):
    """A line of output, or a piece of a long or unfinished one.

    `message` is text without its newline, which `partial` says there was none of. Bytes that are
    not UTF-8 are replaced in it, and `base64` then has the entry as it was, newline and all.
    `offset` is where the entry begins in the job's output.
    """

    source: str
    partial: bool
    base64: str


class LogEnd(TypedDict):
    """How a job ended; sent with the page that completes its output."""

    status: str
    reason: str | None
    exit_code: int | None


class LogPage(TypedDict):
    logs: list[LogEntry]
    next_offset: int
    truncated_bytes: int
    expired: bool
    end: LogEnd | None


class RunResult(TypedDict):
    request_id: str
    status: str
    reason: str
    exit_code: int | None
    duration_ms: int | None
    logs: list[LogEntry]
