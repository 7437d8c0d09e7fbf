"""What a host can be, as people are told, and what is written down about it."""

from __future__ import annotations

from enum import StrEnum


class HostState(StrEnum):
    NEW = "new"  # enrolled, and its agent has never started
    ONLINE = "online"
    DRAINING = "draining"  # online, and takes nothing new
    LOST = "lost"  # was not heard of for MAGS_HOST_LEASE_S; what it had has ended here
    REVOKED = "revoked"  # for good: its key is refused


class HostEventKind(StrEnum):
    ENROLLED = "enrolled"
    BOOTED = "booted"
    LOST = "lost"
    BACK = "back"  # was lost, and its agent goes on without a restart
    DRAINED = "drained"
    UNDRAINED = "undrained"
    REVOKED = "revoked"
