"""What can go wrong with volumes. Each class is one answer to "and now?"."""

from __future__ import annotations

from hostagent.errors import AgentError


class VolumeError(AgentError):
    """Root: a volume could not be made, saved or restored."""


class StorageUnavailable(VolumeError):
    """The object store did not answer, or not sensibly, for a long time. Nothing is wrong with the data:
    call again later, what was stored stays."""


class StorageRefused(VolumeError):
    """The object store refused a request in a way that no repetition helps."""


class Damaged(VolumeError):
    """A version cannot be restored: an object of it is not what its name says. `version` and `object` are
    sha256 sums; they are equal where the manifest itself is damaged."""

    def __init__(self, version: str, object_: str, what: str) -> None:
        super().__init__(f"version {version[:12]} is damaged: object {object_}: {what}")
        self.version = version
        self.object = object_
        self.what = what


class ObjectMissing(VolumeError):
    """The bucket has no such object."""


class ObjectWrong(VolumeError):
    """What the bucket has under a name is something else."""


class ManifestInvalid(VolumeError):
    """Bytes that are no manifest of ours."""


class StreamInvalid(VolumeError):
    """A send stream that is cut off, or holds what `btrfs send` of a volume never writes."""


class PathTooLong(VolumeError):
    """A path that `btrfs send` or `btrfs receive` cannot handle."""


class SendFailed(VolumeError):
    """`btrfs send` failed."""


class DiffAborted(VolumeError):
    """Who asked for a comparison does not want it any more."""


class TooManyPaths(VolumeError):
    """More differs between two versions than a host has memory to list."""


class ReceiveFailed(VolumeError):
    """`btrfs receive` failed."""


class VolumeExists(VolumeError):
    """There is such a volume on this host already."""


class VolumeMissing(VolumeError):
    """There is no such volume or version on this host."""


class VolumeTooFull(VolumeError):
    """The volume holds more than the limit it was to get."""
