"""Volumes that no sandbox uses: what stays of them, and for how long.

volumes/<tenant>/<workspace>/note.json      whose it is and when it was last used
laid-aside/<workspace>.<unix ms>/           a volume whose unsaved files go on from an older version
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import msgspec
import structlog

from hostagent import machine
from hostagent.config import Config
from hostagent.errors import AgentError
from hostagent.journal import read, replace
from hostagent.volumes import standing
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.volume import Volume

logger = structlog.get_logger(__name__)

ASIDE = "laid-aside"
GIB = 1 << 30
MS_PER_HOUR = 3_600_000


class Kind(StrEnum):
    """What is to become of a volume when nobody uses it."""

    SCRATCH = "scratch"  # goes at once
    LOCAL = "local"  # never saved, or not all of it, as was wished: goes soon
    SAVED = "saved"  # a cache of what is in the bucket: goes when others need the room
    FENCED = "fenced"  # what a host was not allowed to save: goes when nobody can want it any more


class _Note(msgspec.Struct):
    kind: Kind
    used_at: int  # Unix ms


@dataclass(frozen=True, slots=True)
class _Rested:
    """A volume on the shelf."""

    workspace: UUID
    volume: Volume
    kind: Kind
    used_at: int


class Shelf:
    """Everything here blocks for some ms: call it in a thread. Who calls holds the volume's lock."""

    def __init__(self, store: VolumeStore, config: Config) -> None:
        self._store = store
        self._config = config
        self._aside = store.root / ASIDE

    def open(self) -> None:
        self._store.root.mkdir(parents=True, exist_ok=True)
        self._store.open()
        self._aside.mkdir(mode=0o700, exist_ok=True)

    def note(self, volume: Volume, kind: Kind) -> None:
        """From here on it counts as this kind, last used now."""
        volume.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(volume.path / "note.json", _Note(kind, machine.now_ms()))

    def workspaces(self) -> list[UUID]:
        """Those that have files here, but not what is dropped anyway."""
        return [rested.workspace for rested in self._all() if rested.kind is not Kind.SCRATCH]

    def lay_aside(self, volume: Volume) -> None:
        """Out of the way of newer files of the same workspace."""
        logger.warning("volume_laid_aside", workspace=volume.path.name)
        volume.path.rename(self._aside / f"{volume.path.name}.{machine.now_ms()}")

    def delete(self, workspace: UUID) -> None:
        """All there is of it."""
        for rested in self._all():
            if rested.workspace == workspace:
                rested.volume.delete()
        for path in self._aside.glob(f"{workspace}.*"):
            Volume(path).delete()

    def due(self, in_use: Collection[UUID]) -> list[UUID]:
        """Volumes whose time has come."""
        now = machine.now_ms()
        idle = [rested for rested in self._all() if rested.workspace not in in_use]
        over = [rested.workspace for rested in idle if now - rested.used_at >= self._rest_ms(rested.kind)]
        return [*over, *self._too_many([rested for rested in idle if rested.workspace not in over])]

    def remove(self, workspace: UUID) -> None:
        """Of a volume that is due. What turns out to hold unsaved files is laid aside instead."""
        for rested in self._all():
            if rested.workspace != workspace:
                continue
            if rested.kind is Kind.SAVED and is_dirty(rested.volume):
                self.lay_aside(rested.volume)
            else:
                rested.volume.delete()
            logger.info("volume_removed", workspace=str(workspace), kind=rested.kind)

    def remove_aside(self) -> None:
        before = machine.now_ms() - self._config.lost_volume_h * MS_PER_HOUR
        for path in self._aside.iterdir():
            if int(path.suffix[1:]) <= before:
                Volume(path).delete()

    def _rest_ms(self, kind: Kind) -> float:
        rests = {
            Kind.SCRATCH: 0,
            Kind.LOCAL: self._config.local_volume_s * 1000,
            Kind.FENCED: self._config.lost_volume_h * MS_PER_HOUR,
        }
        return rests.get(kind, float("inf"))

    def _too_many(self, idle: list[_Rested]) -> list[UUID]:
        """Of the saved ones, those used longest ago, until the rest fits."""
        saved = [rested for rested in idle if rested.kind is Kind.SAVED]
        sizes = {rested.workspace: _size(rested.volume) for rested in saved}
        excess = sum(sizes.values()) - self._config.volume_cache_gb * GIB
        gone = []
        for rested in sorted(saved, key=lambda rested: rested.used_at):
            if excess <= 0:
                break
            excess -= sizes[rested.workspace]
            gone.append(rested.workspace)
        return gone

    def _all(self) -> list[_Rested]:
        found = []
        for tenant, workspace in self._store.volumes():
            volume = self._store.volume(tenant, workspace)
            note = read(volume.path / "note.json", _Note) or _Note(Kind.FENCED, _changed_at(volume.path))
            found.append(_Rested(workspace, volume, note.kind, note.used_at))
        return found


def is_dirty(volume: Volume) -> bool:
    """Whether it holds something that is in no version."""
    if not volume.live.exists():
        return False
    if volume.pending() is not None:
        return True
    # As for a version: where an agent is killed here, its successor makes one of what was taken.
    if volume.take(machine.now_ms(), standing.noted(volume.path)) is None:
        return False
    volume.drop()
    return True


def _size(volume: Volume) -> int:
    with contextlib.suppress(OSError, AgentError):  # half-made: nothing much
        return volume.usage()[0]
    return 0


def _changed_at(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000
