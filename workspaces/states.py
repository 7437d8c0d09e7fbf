"""The words that rows of this app choose from. Pure data."""

from __future__ import annotations

from enum import StrEnum


class VersionReason(StrEnum):
    """Why a version was made."""

    SYNC = "sync"  # somebody asked
    CHECKPOINT = "checkpoint"  # the timer
    STOP = "stop"
    END = "end"
    RESTORE = "restore"  # an older version became the head again
    FORK = "fork"  # the first version of a fork: another workspace's
    IMPORT = "import"


# What a host may give: the others are made here, without new data.
HOST_REASONS = frozenset(VersionReason) - {VersionReason.RESTORE, VersionReason.FORK}


class ObjectKind(StrEnum):
    """What an object of the bucket holds."""

    SEGMENT = "segment"  # a compressed piece of a stream
    MANIFEST = "manifest"  # the list of a version's segments
    UNKNOWN = "unknown"  # found in the bucket by the collector
