"""All volumes of a host, below its state file system.

volumes/<tenant>/<workspace>/    one `Volume`
received/<random>/               a restore under way: a subvolume that `btrfs receive` fills
"""

from __future__ import annotations

import contextlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from hostagent.volumes.errors import VolumeExists, VolumeMissing
from hostagent.volumes.qgroups import sweep_qgroups
from hostagent.volumes.subvolumes import destroy
from hostagent.volumes.volume import Version, Volume

_TENANT = re.compile(r"(u[0-9]{1,20}|images)\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class VolumeStore:
    """Everything here blocks for some ms: call it in a thread."""

    root: Path

    def open(self) -> None:
        """Make the directories, and finish or undo what a killed agent was at. Once, before anything else."""
        for directory in (self._volumes, self._received):
            directory.mkdir(mode=0o700, exist_ok=True)
        for staging in self._received.iterdir():
            destroy(staging)
        for path in self._volumes.glob("*/*"):
            Volume(path).mend()
        sweep_qgroups(self.root)

    def volume(self, tenant: str, workspace: UUID) -> Volume:
        """The one of that name, whether it is there or not."""
        return Volume(self._tenant(tenant) / str(workspace))

    def volumes(self) -> list[tuple[str, UUID]]:
        """Tenant and workspace of each volume that is here."""
        paths = sorted(self._volumes.glob("*/*"))
        return [(path.parent.name, UUID(path.name)) for path in paths if Volume(path).exists]

    def create(self, tenant: str, workspace: UUID, limit_bytes: int) -> Volume:
        """A new volume without a file."""
        volume = self._new(tenant, workspace)
        volume.make_live(None, limit_bytes)
        return volume

    def fork(self, version: Version, tenant: str, workspace: UUID, limit_bytes: int) -> Volume:
        """A new volume that begins as `version` and shares its data. It lacks a copy of the version, without
        which its first save is a full one: `Volume.adopt_version` makes it when there is time, and before the
        other volume drops it."""
        volume = self._new(tenant, workspace)
        volume.make_live(version, limit_bytes)
        return volume

    def find(self, tenant: str, sha256: str) -> Version | None:
        """A version in any volume of the tenant."""
        if not _SHA256.match(sha256):
            return None
        for path in self._tenant(tenant).glob(f"*/versions/{sha256}"):
            with contextlib.suppress(VolumeMissing):
                return Volume(path.parents[1]).version(sha256)
        return None

    def staging(self) -> Path:
        """Where a subvolume to receive into may be made. Whoever does, destroys it."""
        return self._received / secrets.token_hex(8)

    def _new(self, tenant: str, workspace: UUID) -> Volume:
        volume = self.volume(tenant, workspace)
        if volume.exists and volume.live.exists():
            raise VolumeExists(f"workspace {workspace} is on this host already")
        volume.versions.mkdir(mode=0o700, parents=True, exist_ok=True)
        return volume

    def _tenant(self, tenant: str) -> Path:
        if not _TENANT.match(tenant):
            raise ValueError(f"{tenant!r} is not a tenant")
        return self._volumes / tenant

    @property
    def _volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def _received(self) -> Path:
        return self.root / "received"
