"""What hosts report of sandboxes that sleep, wake and run their startup command, checked field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sandboxes.hostapi.messages import Epoch, SandboxId, Size
from workspaces.manifests import UnixMs


class Evidence(Struct, frozen=True):
    """Why a sandbox was found idle."""

    idle_ms: Size
    cpu_ms: Size
    window_ms: Size
    connections: Size
    execs: Size
    runs: Size


class SandboxAsleep(Struct, frozen=True, tag_field="state", tag="asleep"):
    """It is frozen, and stays so until something wakes it."""

    sandbox_id: SandboxId
    epoch: Epoch
    at: UnixMs
    evidence: Evidence


class SandboxAwake(Struct, frozen=True, tag_field="state", tag="awake"):
    sandbox_id: SandboxId
    epoch: Epoch
    at: UnixMs
    cause: Literal["connection", "exec", "run", "wish", "restart"]
    ms: Size  # that the thaw took


class StartupReported(Struct, frozen=True):
    """How a try of a sandbox's startup command goes: it began, or it is over."""

    sandbox_id: SandboxId
    epoch: Epoch
    at: UnixMs
    exec_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    attempt: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    state: Literal["started", "exited"]
    exit_code: Annotated[int, Meta(ge=0, le=255)] | None = None
    reason: Literal["exited", "signaled", "timed_out", "oom", "lost", "not_started"] | None = None
    again_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None  # until the next try; None: there is none
