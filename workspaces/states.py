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


class ComparisonState(StrEnum):
    """How far a comparison of two versions has come."""

    WAITING = "waiting"  # no host was asked yet, or it is to be asked anew
    ASKED = "asked"  # of one life of one host's agent, which owes an answer
    ANSWERED = "answered"
    FAILED = "failed"  # it may be asked again after a while


class CompareFailure(StrEnum):
    """Why a host has no answer. All but the last are its own words."""

    DAMAGED = "damaged"  # an object of a version is missing or wrong
    UNAVAILABLE = "unavailable"  # the object store, the network or the host's room
    TOO_DEEP = "too_deep"  # a path that `btrfs send` cannot handle
    OVERDUE = "overdue"  # it took longer than the host allows
    FAILED = "failed"
    UNANSWERED = "unanswered"  # hosts were asked and said nothing
