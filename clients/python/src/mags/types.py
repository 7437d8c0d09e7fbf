"""The shapes of the answers. They are plain dicts at run time, with every key the server sent."""

from __future__ import annotations

from typing import Any, TypedDict


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


class Ready(TypedDict):
    """A sandbox that takes commands."""

    request_id: str
    status: str


class Job(TypedDict):
    """A job. `status` is accepted, running, sleeping, completed or error; `reason` says why.

    `sandbox` is none, running or sleeping: it may stay when the script has ended.
    """

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
    startup_command: str | None
    url: str | None
    ssh: str | None
    durable_at: str | None
    unsaved_since: str | None
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


class Event(TypedDict):
    """Something that happened to a job or its sandbox. `detail` has the reasons, times and evidence."""

    at: str
    kind: str
    detail: dict[str, Any]


class EventList(TypedDict):
    events: list[Event]
    total: int
    page: int
    page_size: int


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


class Damage(TypedDict):
    """What is wrong with the stored data of a workspace, and what can still be restored."""

    message: str
    at: str
    last_good_version: int | None


class Workspace(TypedDict):
    """A workspace by its `name`, which is its `workspace_id` too.

    `version` is the newest saved one and `durable_at` when it was stored; None where `is_saved` is
    not. `size_bytes` is what its files are, `stored_bytes` what all its versions take in the store.
    `active_job` is the id of a job that uses it.
    """

    id: str
    workspace_id: str
    name: str
    size_bytes: int | None
    stored_bytes: int
    version: int | None
    versions: int
    durable_at: str | None
    disk_gb: int
    image: str
    is_saved: bool
    damaged: Damage | None
    host: str | None
    active_job: str | None
    created_at: str
    used_at: str


class WorkspaceList(TypedDict):
    workspaces: list[Workspace]
    total: int
    page: int
    page_size: int


class Image(TypedDict):
    """A root file system. Values are None while no build of it is published."""

    name: str
    build: str | None
    builds: int
    size_bytes: int | None
    stored_bytes: int | None
    created_at: str | None


class ImageList(TypedDict):
    images: list[Image]
    total: int


class Version(TypedDict):
    """A saved state of a workspace, which nothing changes any more.

    `reason` says what made it (sync, checkpoint, stop, end, restore, fork, import), `sha256` is its
    identity. `size_bytes` is what the files are, `stored_bytes` what it added to the store.
    """

    version: int
    sha256: str
    is_head: bool
    reason: str
    size_bytes: int
    stored_bytes: int
    made_at: str
    durable_at: str | None
    is_damaged: bool


class VersionList(TypedDict):
    versions: list[Version]
    total: int
    page: int
    page_size: int


class DiffTotals(TypedDict):
    added: int
    changed: int
    removed: int


# With a key that is a keyword, hence in this form.
Diff = TypedDict(
    "Diff",
    {
        "from": int,
        "to": int,
        "added": list[str],
        "changed": list[str],
        "removed": list[str],
        "totals": DiffTotals,  # of all, also where the lists are cut
        "truncated": bool,
    },
)


class Access(TypedDict):
    """The public URL of a sandbox, and the port that it leads to."""

    success: bool
    url: str
    port: int


class SshAccess(TypedDict):
    """Where to log in, as whom, and with which key; and what the sandbox proves itself with."""

    success: bool
    ssh_host: str
    ssh_port: int
    ssh_user: str
    ssh_private_key: str  # in OpenSSH's form
    ssh_host_key: str  # `ssh-ed25519 AAAA...`
    known_hosts: str  # the same as a line of that file


class SshKeyRevoked(TypedDict):
    """`in_force`: the sandbox's host has said that nobody is in by that key any more."""

    success: bool
    in_force: bool


class Alias(TypedDict):
    """A name for the URL of a workspace. Without a `port` it leads where the workspace's own URL does."""

    id: str
    subdomain: str
    workspace_id: str
    port: int | None
    url: str
    created_at: str


class AliasList(TypedDict):
    aliases: list[Alias]
    total: int
    page: int
    page_size: int


class Receipt(TypedDict):
    """A version that is stored for good."""

    workspace_id: str
    version: int
    sha256: str
    bytes: int
    synced_at: str


class File(TypedDict):
    """An upload. It is gone after `expires_at`."""

    file_id: str
    name: str
    size: int
    sha256: str
    created_at: str
    expires_at: str


class FileList(TypedDict):
    files: list[File]
    total: int
    page: int
    page_size: int


class Amounts(TypedDict):
    """What was used. None: not metered, which is not nothing. A GB is 1024³ bytes."""

    vm_seconds: float
    asleep_seconds: float
    cpu_seconds: float | None
    memory_gb_hours: float | None
    storage_gb_hours: float | None
    received_bytes: int | None
    sent_bytes: int | None


class UsageOfDay(Amounts):
    day: str
    jobs: int


class UsageOfWorkspace(Amounts):
    workspace: str | None
    jobs: int
    storage_bytes: int


class UsageOfToken(Amounts):
    """All are None for what was submitted in the browser, or with a token that is gone."""

    token_id: int | None
    name: str | None
    prefix: str | None
    revoked: bool
    jobs: int


class Usage(Amounts):
    """What an account used in whole days (UTC). `storage_bytes` is what it has stored now."""

    window_days: int
    first_day: str
    last_day: str
    as_of: str
    total_jobs: int
    storage_bytes: int
    by_day: list[UsageOfDay]
    by_workspace: list[UsageOfWorkspace]
    workspaces_total: int
    by_token: list[UsageOfToken]
    tokens_total: int
    by_cron: list[dict[str, Any]]
