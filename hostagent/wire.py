"""What goes over the wire (docs/reference/host-api.md), checked field by field: the server is not trusted
with more than it needs, and nothing it sends may crash the agent. Of held sandboxes: `hostagent.heldwire`."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from hostagent.fields import (
    NAME_LIMIT_BYTES,
    DiskGb,
    Epoch,
    FileName,
    ImageName,
    LeaseId,
    MemoryMb,
    Revision,
    SandboxId,
    Sha256,
    Size,
    Stages,
    Tenant,
    Text,
    UnixMs,
    Url,
    Variable,
    Vcpus,
)
from hostagent.heldwire import (
    ReportedSandbox,
    SandboxAsleep,
    SandboxAwake,
    SandboxEnded,
    SandboxEnding,
    SandboxRunning,
    SshReady,
    StartupReport,
    VolumeSize,
)
from hostagent.imagewire import Build

# kid: raw public key in base64
TicketKeys = Annotated[
    dict[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")],
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=\Z")],
    ],
    Meta(max_length=16),
]


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
    images: list[Build] = field(default_factory=list)  # what new sandboxes stand on
    publishes_images: bool = False
    ticket_keys: TicketKeys | None = None  # None: a server that says nothing of them


class PollAnswer(Struct, frozen=True):
    revision: Revision
    assignments: list[msgspec.Raw]
    drop: list[LeaseId] = field(default_factory=list)
    sandboxes: list[msgspec.Raw] = field(default_factory=list)
    drop_sandboxes: list[SandboxId] = field(default_factory=list)
    drop_volumes: list[UUID] = field(default_factory=list)
    questions: list[msgspec.Raw] = field(default_factory=list)
    images: list[Build] | None = None  # None: no change


class HeartbeatAnswer(Struct, frozen=True):
    draining: bool
    ticket_keys: TicketKeys | None = None


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


class DataPort(Struct, frozen=True):
    """Where gateways reach this host's sandboxes."""

    address: str
    port: int


class Boot(Struct, frozen=True):
    machine_boot_id: str
    agent_version: str
    isolation: str
    capacity: Capacity
    leases: list[ReportedLease]
    sandboxes: list[ReportedSandbox]
    volumes: list[UUID]
    data_port: DataPort | None


class Heartbeat(Struct, frozen=True):
    boot_epoch: int
    capacity: Capacity
    running: int
    draining: bool
    load: float


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


SandboxEvent = SandboxAsleep | SandboxAwake | StartupReport | SshReady
SandboxItem = SandboxRunning | SandboxEvent | SandboxEnding | SandboxEnded | VolumeSize
Item = Started | Log | Finished | SandboxItem


class Report(Struct, frozen=True):
    boot_epoch: int
    items: list[Item]


_assignment = msgspec.json.Decoder(Assignment)
_key = msgspec.json.Decoder(LeaseKey)


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


def key_of(raw: msgspec.Raw) -> LeaseKey | None:
    """Whose assignment it is, if at least that can be read."""
    try:
        return _key.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def encode(body: Any) -> bytes:
    return msgspec.json.encode(body)
