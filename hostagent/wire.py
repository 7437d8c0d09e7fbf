"""What goes over the wire (docs/reference/host-api.md), checked field by field: the server is not trusted
with more than it needs, and nothing it sends may crash the agent."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

NAME_LIMIT_BYTES = 255  # of every Linux file system

LeaseId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Epoch = Annotated[int, Meta(ge=1, le=2**31 - 1)]
UnixMs = Annotated[int, Meta(ge=0, le=2**48)]
Size = Annotated[int, Meta(ge=0, le=2**53)]
SandboxId = Annotated[str, Meta(pattern=r"^[a-z0-9]{16}\Z")]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z", max_length=256)]
Text = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]
Revision = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Tenant = Annotated[str, Meta(pattern=r"^u[0-9]{1,20}\Z")]
ImageName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
Vcpus = Annotated[int, Meta(ge=1, le=1024)]
MemoryMb = Annotated[int, Meta(ge=1, le=2**24)]
DiskGb = Annotated[int, Meta(ge=1, le=2**20)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
FileName = Annotated[str, Meta(pattern=r"^[^/\x00-\x1f\x7f]+\Z", max_length=255)]
Url = Annotated[str, Meta(pattern=r"^https?://[\x21-\x7e]+\Z", max_length=8192)]


class Enrolment(Struct, frozen=True):
    host_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")]
    key: Annotated[str, Meta(pattern=r"^[\x21-\x7e]{16,200}\Z")]


class LeaseKey(Struct, frozen=True):
    """The part of an assignment that is needed to refuse it."""

    lease_id: LeaseId
    lease_epoch: Epoch
    log_offset: Size = 0


class Upload(Struct, frozen=True):
    """A file that a run finds in /uploads."""

    name: FileName
    sha256: Sha256
    bytes: Size
    url: Url


class Assignment(LeaseKey, frozen=True, kw_only=True):
    """A lease and what to run under it."""

    revision: Revision
    wish: Literal["run", "stop"]
    sandbox_id: SandboxId
    job_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")]
    tenant: Tenant
    script: Text
    environment: dict[Variable, Text] = field(default_factory=dict)
    image: ImageName
    vcpus: Vcpus
    memory_mb: MemoryMb
    disk_gb: DiskGb
    timeout_s: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    assigned_at: UnixMs
    in_sandbox: bool = False  # runs in the held sandbox `sandbox_id`, beside others
    files: Annotated[list[Upload], Meta(max_length=1000)] = field(default_factory=list)


class VolumeWish(Struct, frozen=True, kw_only=True):
    """What a held sandbox writes to."""

    id: UUID | None  # the workspace; None: scratch, dropped at the end
    head: Sha256 | None  # the version that it begins as
    base: Sha256 | None  # the version that it begins as where there is no head
    is_saved: bool  # in the bucket, at the end and now and then


class SandboxKey(Struct, frozen=True):
    sandbox_id: SandboxId
    epoch: Epoch


class SandboxWish(SandboxKey, frozen=True, kw_only=True):
    """A sandbox that holds a volume, and runs in it."""

    revision: Revision
    wish: Literal["run", "end"]
    tenant: Tenant
    image: ImageName
    vcpus: Vcpus
    memory_mb: MemoryMb
    disk_gb: DiskGb
    is_kept: bool  # outlives its last run
    checkpoint_s: Count  # how often it is saved by itself; 0: never
    sync: Count = 0  # how many syncs were asked for
    volume: VolumeWish


class BootAnswer(Struct, frozen=True):
    boot_epoch: Epoch
    revision: Revision
    heartbeat_s: Annotated[float, Meta(gt=0, le=3600)]
    lease_s: Annotated[float, Meta(gt=0, le=86400)]
    assignments: list[msgspec.Raw]  # each is checked by itself: one bad one does not spoil the rest
    drop: list[LeaseId]
    sandboxes: list[msgspec.Raw] = field(default_factory=list)
    drop_sandboxes: list[SandboxId] = field(default_factory=list)
    drop_volumes: list[UUID] = field(default_factory=list)


class PollAnswer(Struct, frozen=True):
    revision: Revision
    assignments: list[msgspec.Raw]
    drop: list[LeaseId] = field(default_factory=list)
    sandboxes: list[msgspec.Raw] = field(default_factory=list)
    drop_sandboxes: list[SandboxId] = field(default_factory=list)
    drop_volumes: list[UUID] = field(default_factory=list)


class HeartbeatAnswer(Struct, frozen=True):
    draining: bool


class Result(Struct, frozen=True):
    """What became of one reported item."""

    status: int
    code: str = ""
    expected: Size = 0
    error: str = ""


class ReportAnswer(Struct, frozen=True):
    results: list[Result]


class Refusal(Struct, frozen=True):
    """An error answer."""

    error: str = ""
    code: str = ""
    remediation: str = ""


class Capacity(Struct, frozen=True):
    sandboxes: int
    memory_mb: int
    vcpus: int


ReportedPhase = Literal["accepted", "starting", "running", "exited"]


class ReportedLease(Struct, frozen=True):
    lease_id: int
    lease_epoch: int
    phase: ReportedPhase


SandboxPhase = Literal["accepted", "preparing", "running", "ending"]


class ReportedSandbox(Struct, frozen=True):
    sandbox_id: str
    epoch: int
    phase: SandboxPhase


class Boot(Struct, frozen=True):
    machine_boot_id: str
    agent_version: str
    isolation: str
    capacity: Capacity
    leases: list[ReportedLease]
    sandboxes: list[ReportedSandbox]
    volumes: list[UUID]


class Heartbeat(Struct, frozen=True):
    boot_epoch: int
    capacity: Capacity
    running: int
    draining: bool
    load: float


class Stages(Struct, frozen=True):
    """Milliseconds that a start took: on its way to us, for the root file system, for the rest."""

    assigned: int
    restored: int
    started: int


class Started(Struct, frozen=True, tag="started"):
    lease_id: int
    lease_epoch: int
    at: int
    stages: Stages


class Log(Struct, frozen=True, tag="log"):
    lease_id: int
    lease_epoch: int
    offset: int
    records: list[tuple[int, int, int]]
    data: str  # base64

    @classmethod
    def of(cls, key: LeaseKey, offset: int, records: list[tuple[int, int, int]], data: bytes) -> Log:
        return cls(key.lease_id, key.lease_epoch, offset, records, base64.b64encode(data).decode())


Outcome = Literal["exited", "stopped", "oom", "timed_out", "disk_full", "start_failed", "lost"]


class Finished(Struct, frozen=True, tag="finished"):
    lease_id: int
    lease_epoch: int
    at: int
    outcome: Outcome
    exit_code: int | None
    log_bytes: int
    dropped_bytes: int
    duration_ms: int | None
    message: str


class SandboxRunning(Struct, frozen=True, tag="sandbox"):
    sandbox_id: str
    epoch: int
    at: int
    stages: Stages
    state: Literal["running"] = "running"


SandboxEnd = Literal[
    "done", "stopped", "oom", "disk_full", "lost", "start_failed", "restore_failed", "damaged"
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


class VolumeSize(Struct, frozen=True, tag="volume"):
    sandbox_id: str
    epoch: int
    tree_bytes: int
    dirty: bool
    sync: int  # the wish that it answers: nothing has changed since the head; 0: none


Item = Started | Log | Finished | SandboxRunning | SandboxEnded | VolumeSize


class Report(Struct, frozen=True):
    boot_epoch: int
    items: list[Item]


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


class Receipt(Struct, frozen=True):
    """The version is durable."""

    version: Annotated[int, Meta(ge=1)]
    manifest: Sha256
    durable_at: UnixMs


_assignment = msgspec.json.Decoder(Assignment)
_key = msgspec.json.Decoder(LeaseKey)
_wish = msgspec.json.Decoder(SandboxWish)
_sandbox_key = msgspec.json.Decoder(SandboxKey)


def assignment_of(raw: msgspec.Raw) -> Assignment:
    """Raises `msgspec.ValidationError` with what is wrong."""
    assignment = _assignment.decode(raw)
    try:
        assignment.script.encode()
        for name, value in assignment.environment.items():
            (name + value).encode()
        for file in assignment.files:
            _check_name(file.name)
    except UnicodeEncodeError as error:
        raise msgspec.ValidationError("script or environment is not valid Unicode") from error
    return assignment


def _check_name(name: str) -> None:
    if name in (".", "..") or len(name.encode()) > NAME_LIMIT_BYTES:
        raise msgspec.ValidationError("an upload's name is no file name")


def wish_of(raw: msgspec.Raw) -> SandboxWish:
    """Raises `msgspec.ValidationError` with what is wrong."""
    return _wish.decode(raw)


def sandbox_key_of(raw: msgspec.Raw) -> SandboxKey | None:
    """Whose wish it is, if at least that can be read."""
    try:
        return _sandbox_key.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def key_of(raw: msgspec.Raw) -> LeaseKey | None:
    """Whose assignment it is, if at least that can be read."""
    try:
        return _key.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def encode(body: Any) -> bytes:
    return msgspec.json.encode(body)
