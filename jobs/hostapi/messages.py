"""What hosts send, checked field by field. Hosts are trusted with their own work only."""

from __future__ import annotations

import math
from ipaddress import ip_address
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from core.errors import Invalid
from jobs.hostapi.sandboxitems import SandboxAsleep, SandboxAwake, StartupReported
from jobs.services import Outcome
from sandboxes.hostapi.messages import Epoch, SandboxId, Size
from sandboxes.states import SandboxEnd, SaveFailure
from workspaces.manifests import Sha256

T = TypeVar("T")

LOG_ITEM_LIMIT_BYTES = 1024 * 1024
RECORD_LIMIT_BYTES = 64 * 1024
RECORDS_LIMIT = 65_536  # of one log item: 16 bytes a record on average, in a full one
ITEMS_LIMIT = 1000
LEASES_LIMIT = 100_000
VOLUMES_LIMIT = 10_000  # one query's variables
UNIX_MS_LIMIT = 253_402_300_800_000  # the year 10000, which no date can hold

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**31 - 1)]
UnixMs = Annotated[int, Meta(ge=0, lt=UNIX_MS_LIMIT)]
Record = tuple[UnixMs, Annotated[int, Meta(ge=1, le=3)], Annotated[int, Meta(ge=1, le=RECORD_LIMIT_BYTES)]]


class Capacity(Struct, frozen=True):
    sandboxes: Annotated[int, Meta(ge=0, le=100_000)]
    memory_mb: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    vcpus: Annotated[int, Meta(ge=0, le=32_767)]


class DataPort(Struct, frozen=True):
    """Where the gateway reaches the host's sandboxes."""

    address: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f:.]{2,45}\Z")]
    port: Annotated[int, Meta(ge=1, le=65_535)]

    def __post_init__(self) -> None:
        ip_address(self.address)  # raises ValueError


class ReportedLease(Struct, frozen=True):
    lease_id: Id
    lease_epoch: Epoch
    phase: Literal["accepted", "starting", "running", "exited"]


class ReportedSandbox(Struct, frozen=True):
    sandbox_id: SandboxId
    epoch: Epoch
    phase: Literal["accepted", "preparing", "running", "ending"]


class Boot(Struct, frozen=True):
    machine_boot_id: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+\Z")]
    agent_version: Annotated[str, Meta(max_length=40, pattern=r"^[A-Za-z0-9.+_-]*\Z")]
    isolation: Literal["container", "gvisor", "microvm"]
    capacity: Capacity
    leases: Annotated[list[ReportedLease], Meta(max_length=LEASES_LIMIT)]
    sandboxes: Annotated[list[ReportedSandbox], Meta(max_length=LEASES_LIMIT)] = field(default_factory=list)
    volumes: Annotated[list[UUID], Meta(max_length=VOLUMES_LIMIT)] = field(default_factory=list)
    data_port: DataPort | None = None


class Stages(Struct, frozen=True):
    """Milliseconds that each stage of a start took on the host."""

    assigned: Milliseconds
    restored: Milliseconds
    started: Milliseconds


class Started(Struct, frozen=True, tag="started"):
    lease_id: Id
    lease_epoch: Epoch
    at: UnixMs
    stages: Stages


class Log(Struct, frozen=True, tag="log"):
    lease_id: Id
    lease_epoch: Epoch
    offset: Size
    records: Annotated[list[Record], Meta(min_length=1, max_length=RECORDS_LIMIT)]
    data: Annotated[bytes, Meta(max_length=LOG_ITEM_LIMIT_BYTES)]  # base64 on the wire

    def __post_init__(self) -> None:
        covered = sum(length for _, _, length in self.records)
        if covered != len(self.data):
            raise ValueError(f"records cover {covered} bytes, data has {len(self.data)}")


class Finished(Struct, frozen=True, tag="finished"):
    lease_id: Id
    lease_epoch: Epoch
    at: UnixMs
    outcome: Outcome
    exit_code: Annotated[int, Meta(ge=0, le=255)] | None
    log_bytes: Size
    dropped_bytes: Size
    duration_ms: Size | None = None
    message: Annotated[str, Meta(max_length=2000)] | None = None

    def __post_init__(self) -> None:
        if self.outcome is Outcome.EXITED and self.exit_code is None:
            raise ValueError("an exited script has an exit_code")


class Damaged(Struct, frozen=True):
    """Which object of a workspace's chain is missing or wrong."""

    manifest: Sha256
    object: Sha256


class SandboxRunning(Struct, frozen=True, tag_field="state", tag="running"):
    sandbox_id: SandboxId
    epoch: Epoch
    at: UnixMs
    stages: Stages


class SandboxEnding(Struct, frozen=True, tag_field="state", tag="ending"):
    sandbox_id: SandboxId
    epoch: Epoch
    at: UnixMs


class SandboxEnded(Struct, frozen=True, tag_field="state", tag="ended"):
    sandbox_id: SandboxId
    epoch: Epoch
    at: UnixMs
    reason: SandboxEnd
    message: Annotated[str, Meta(max_length=2000)] = ""
    damaged: Damaged | None = None


class SaveTrouble(Struct, frozen=True):
    """Saving has failed since then, and goes on being tried."""

    since: UnixMs
    kind: SaveFailure


class VolumeMeasured(Struct, frozen=True):
    sandbox_id: SandboxId
    epoch: Epoch
    tree_bytes: Size
    dirty: bool
    sync: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    trouble: SaveTrouble | None = None


class SshReady(Struct, frozen=True):
    """The keys that `digest` names are the only ones in force; sessions of others are cut."""

    sandbox_id: SandboxId
    epoch: Epoch
    digest: Sha256


class ItemKind(Struct, frozen=True):
    """Which of the others an item is."""

    type: Literal["started", "log", "finished", "sandbox", "volume", "ssh", "startup"]


LeaseItem = Started | Log | Finished
SandboxMove = SandboxRunning | SandboxAsleep | SandboxAwake | SandboxEnding | SandboxEnded
SandboxItem = SandboxMove | VolumeMeasured | SshReady | StartupReported
Item = LeaseItem | SandboxItem


class Report(Struct, frozen=True):
    boot_epoch: Epoch
    items: Annotated[list[msgspec.Raw], Meta(max_length=ITEMS_LIMIT)]  # each is checked by itself


class PollQuery(Struct, frozen=True):
    boot_epoch: Epoch
    after: Size = 0
    wait: Annotated[float, Meta(ge=0, le=3600)] = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.wait):
            raise ValueError("wait is not finite")


_boot = msgspec.json.Decoder(Boot)
_report = msgspec.json.Decoder(Report)
_item = msgspec.json.Decoder(LeaseItem)
_kind = msgspec.json.Decoder(ItemKind)
_sandbox = msgspec.json.Decoder(SandboxMove)
_volume = msgspec.json.Decoder(VolumeMeasured)
_startup = msgspec.json.Decoder(StartupReported)
_ssh = msgspec.json.Decoder(SshReady)
_ABOUT_SANDBOXES: dict[str, msgspec.json.Decoder[Any]] = {
    "sandbox": _sandbox, "volume": _volume, "startup": _startup, "ssh": _ssh,
}  # fmt: skip


def boot_of(body: bytes) -> Boot:
    return _decoded(_boot, body)


def report_of(body: bytes) -> Report:
    return _decoded(_report, body)


def item_of(raw: msgspec.Raw) -> Item:
    """Raises msgspec.ValidationError or DecodeError with what is wrong."""
    try:
        about_lease: LeaseItem = _item.decode(raw)
    except msgspec.ValidationError:
        # Asked for second, because nearly all items are about leases.
        decoder = _ABOUT_SANDBOXES.get(_kind.decode(raw).type)
        if decoder is None:
            raise
    else:
        return about_lease
    about_sandbox: SandboxItem = decoder.decode(raw)
    return about_sandbox


def poll_of(query: dict[str, str]) -> PollQuery:
    try:
        return msgspec.convert(query, PollQuery, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(str(error)) from error
