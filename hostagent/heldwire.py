"""Messages about held sandboxes and their volumes (docs/reference/host-api.md), checked field by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from hostagent.fields import (
    BuildName,
    Count,
    DiskGb,
    Epoch,
    ImageName,
    MemoryMb,
    Revision,
    SandboxId,
    Sha256,
    Stages,
    Tenant,
    Text,
    UnixMs,
    Variable,
    Vcpus,
)

COMMAND_LIMIT = 16 * 1024  # characters


class VolumeWish(Struct, frozen=True, kw_only=True):
    """What a held sandbox writes to."""

    id: UUID | None  # the workspace; None: scratch, dropped at the end
    head: Sha256 | None  # the version that it begins as
    base: Sha256 | None  # the version that it begins as where there is no head
    is_saved: bool  # in the bucket, at the end and now and then


Seconds = Annotated[float, Meta(gt=0, le=366 * 86400)]


class SleepWish(Struct, frozen=True):
    """When a sandbox is idle, and what becomes of it then."""

    idle_s: Seconds  # how long nothing may have happened
    cpu_percent: Annotated[float, Meta(ge=0, le=102_400)]  # of one CPU; less than that is nothing
    stop_s: Seconds | None = None  # after it was frozen it is saved and ended; None: it stays frozen
    with_runs: bool = False  # a script that runs does not keep it awake


class StartupWish(Struct, frozen=True):
    """What runs in a sandbox that is made without a script."""

    command: Annotated[str, Meta(pattern=r"^[^\x00]+\Z", max_length=COMMAND_LIMIT)]
    environment: dict[Variable, Text] = field(default_factory=dict)
    count: Count = 0


class SshWish(Struct, frozen=True):
    """Who may log in, and as whom the sandbox answers."""

    host_key: Annotated[
        str, Meta(pattern=r"^-----BEGIN OPENSSH PRIVATE KEY-----\n[\x20-\x7e\n]*\Z", max_length=16 * 1024)
    ]
    authorized_keys: Annotated[
        list[Annotated[str, Meta(pattern=r"^[\x20-\x7e]+\Z", max_length=8192)]], Meta(max_length=1000)
    ]
    digest: Sha256  # of both: other words for the same key mean nothing

    def __repr__(self) -> str:
        """Without the key: wishes get into logs and tracebacks."""
        return f"SshWish(authorized_keys={len(self.authorized_keys)})"


class SandboxKey(Struct, frozen=True):
    sandbox_id: SandboxId
    epoch: Epoch


class SandboxWish(SandboxKey, frozen=True, kw_only=True):
    """A sandbox that holds a volume, and runs in it."""

    revision: Revision
    wish: Literal["run", "end"]
    tenant: Tenant
    image: ImageName
    image_build: BuildName | None = None  # stand on this very build; None: on what is here
    vcpus: Vcpus
    memory_mb: MemoryMb
    disk_gb: DiskGb
    is_kept: bool  # outlives its last run
    checkpoint_s: Count  # how often it is saved by itself; 0: never
    sync: Count = 0  # how many syncs were asked for
    volume: VolumeWish
    sleep: SleepWish | None = None  # None: it never sleeps
    wake: Count = 0  # how often somebody wished it awake
    startup: StartupWish | None = None
    ssh: SshWish | None = None  # None: nobody may log in


SandboxPhase = Literal["accepted", "preparing", "running", "ending"]


class ReportedSandbox(Struct, frozen=True):
    sandbox_id: str
    epoch: int
    phase: SandboxPhase


class SandboxRunning(Struct, frozen=True, tag="sandbox"):
    sandbox_id: str
    epoch: int
    at: int
    stages: Stages
    state: Literal["running"] = "running"


class SandboxEnding(Struct, frozen=True, tag="sandbox"):
    """Nothing new can run in it. Its last version may take a while."""

    sandbox_id: str
    epoch: int
    at: int
    state: Literal["ending"] = "ending"


class Evidence(Struct, frozen=True):
    """Why a sandbox was found idle."""

    idle_ms: int  # for so long nothing has happened
    cpu_ms: int  # used in the last window_ms, by everything in it
    window_ms: int
    connections: int  # open when it was frozen
    execs: int
    runs: int  # more than none only where they do not count


class SandboxAsleep(Struct, frozen=True, tag="sandbox"):
    """It is frozen, and stays so until something wakes it."""

    sandbox_id: str
    epoch: int
    at: int
    evidence: Evidence
    state: Literal["asleep"] = "asleep"


WakeCause = Literal["connection", "exec", "run", "wish", "restart"]


class SandboxAwake(Struct, frozen=True, tag="sandbox"):
    sandbox_id: str
    epoch: int
    at: int
    cause: WakeCause
    ms: int  # what the thaw took
    state: Literal["awake"] = "awake"


class SshReady(Struct, frozen=True, tag="ssh"):
    """These keys and no others are in force. Whoever lost theirs is out."""

    sandbox_id: str
    epoch: int
    digest: str


StartupEnd = Literal["exited", "signaled", "timed_out", "oom", "lost", "not_started"]


class StartupReport(Struct, frozen=True, tag="startup"):
    """How one try of the startup command goes."""

    sandbox_id: str
    epoch: int
    at: int
    exec_id: str
    attempt: int
    state: Literal["started", "exited"]
    exit_code: int | None = None
    reason: StartupEnd | None = None
    again_s: float | None = None  # until the next try; None: there is none


SandboxEnd = Literal[
    "done", "stopped", "idle", "oom", "disk_full", "lost", "start_failed", "restore_failed", "damaged"
]


class DamagedObject(Struct, frozen=True):
    manifest: str  # of the version that cannot be restored
    object: str


class SandboxEnded(Struct, frozen=True, tag="sandbox"):
    sandbox_id: str
    epoch: int
    at: int
    reason: SandboxEnd
    message: str
    damaged: DamagedObject | None = None
    state: Literal["ended"] = "ended"


SaveFailure = Literal["unreachable", "refused", "failed"]


class SaveTrouble(Struct, frozen=True):
    """Saving has failed since then, and goes on being tried."""

    since: int  # Unix ms
    kind: SaveFailure


class VolumeSize(Struct, frozen=True, tag="volume"):
    sandbox_id: str
    epoch: int
    tree_bytes: int
    dirty: bool
    sync: int  # the wish that it answers: nothing has changed since the head; 0: none
    trouble: SaveTrouble | None = None


class ObjectsRequest(Struct, frozen=True):
    boot_epoch: int
    sandbox_id: str
    epoch: int
    get: Sequence[str]
    put: Sequence[tuple[str, int]]


VersionReason = Literal["sync", "checkpoint", "stop", "end"]


class VersionRequest(Struct, frozen=True):
    """A version whose objects are all in the bucket."""

    boot_epoch: int
    sandbox_id: str
    epoch: int
    manifest: str
    parent: str | None  # the head that it replaces
    reason: VersionReason
    sync: int  # the wish that it answers; 0: none
    made_at: int
    tree_bytes: int


FullNext = Literal["no", "later", "now"]


class Receipt(Struct, frozen=True):
    """The version is durable."""

    version: Annotated[int, Meta(ge=1)]
    manifest: Sha256
    durable_at: UnixMs
    full_next: FullNext = "no"  # whether the next one is to be a full stream


_wish = msgspec.json.Decoder(SandboxWish)
_sandbox_key = msgspec.json.Decoder(SandboxKey)


def wish_of(raw: msgspec.Raw) -> SandboxWish:
    """Raises `msgspec.ValidationError` with what is wrong."""
    wish = _wish.decode(raw)
    if wish.startup is not None:
        _check_unicode(wish.startup)
    return wish


def _check_unicode(startup: StartupWish) -> None:
    """JSON can say what no command line can be."""
    try:
        "".join((startup.command, *startup.environment.values())).encode()
    except UnicodeEncodeError as error:
        raise msgspec.ValidationError("the startup command is not valid Unicode") from error


def sandbox_key_of(raw: msgspec.Raw) -> SandboxKey | None:
    """Whose wish it is, if at least that can be read."""
    try:
        return _sandbox_key.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
