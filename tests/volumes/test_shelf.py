"""Volumes that no sandbox uses: which of them goes, and when."""

from __future__ import annotations

import json
import os
from pathlib import Path
from uuid import UUID

import pytest

from hostagent import machine
from hostagent.config import Config
from hostagent.shelf import Kind, Shelf, is_dirty
from hostagent.volumes import standing
from hostagent.volumes.manifest import Image
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.volume import Volume
from tests.volumes.saving import TENANT
from tests.volumes.test_changes import keep

MIB, GIB = 1 << 20, 1 << 30
HOUR_MS = 3_600_000


@pytest.fixture
def store(root: Path) -> VolumeStore:
    return VolumeStore(root)


@pytest.fixture
def shelf(store: VolumeStore, root: Path) -> Shelf:
    shelf = Shelf(store, Config(state_dir=root, volume_cache_gb=1, local_volume_s=60, lost_volume_h=1))
    shelf.open()
    return shelf


def rest(shelf: Shelf, store: VolumeStore, number: int, kind: Kind, *, used_ago_ms: int = 0) -> Volume:
    """A volume of 600 MiB, saved as it is; that a snapshot was made of it brings its size up to date."""
    volume = store.create(TENANT, UUID(int=number), GIB)
    with (volume.live / "upper/file").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 600 * MIB)
    volume.take(1, None)
    keep(volume)
    shelf.note(volume, kind)
    note = {"kind": kind, "used_at": machine.now_ms() - used_ago_ms}
    (volume.path / "note.json").write_text(json.dumps(note))
    return volume


def test_saved_volumes_go_oldest_first_until_the_rest_fits(shelf: Shelf, store: VolumeStore) -> None:
    for number, ago in ((1, 1000), (2, 9 * HOUR_MS), (3, 5000), (4, 20_000)):
        rest(shelf, store, number, Kind.SAVED, used_ago_ms=ago)
    assert shelf.due(()) == [UUID(int=2), UUID(int=4), UUID(int=3)]
    assert shelf.due([UUID(int=2), UUID(int=3)]) == [UUID(int=4)]  # what is in use counts for nothing
    for workspace in shelf.due(()):
        shelf.remove(workspace)
    assert shelf.workspaces() == [UUID(int=1)]
    assert shelf.due(()) == []


def test_what_is_not_saved_goes_by_its_age_only(shelf: Shelf, store: VolumeStore) -> None:
    ages = {Kind.SCRATCH: 1, Kind.LOCAL: 61_000, Kind.FENCED: HOUR_MS + 1000}
    for number, (kind, age) in enumerate(ages.items()):
        rest(shelf, store, 10 + number, kind, used_ago_ms=age)
        if kind is not Kind.SCRATCH:
            rest(shelf, store, 20 + number, kind, used_ago_ms=age - 2000)
    assert sorted(shelf.due(())) == [UUID(int=number) for number in (10, 11, 12)]


def test_cached_volume_with_files_that_are_not_saved_is_laid_aside(
    shelf: Shelf, store: VolumeStore, root: Path
) -> None:
    volume = rest(shelf, store, 1, Kind.SAVED)
    (volume.live / "upper/unsaved").write_text("kept")
    shelf.remove(UUID(int=1))
    [aside] = (root / "laid-aside").iterdir()
    assert (aside / "live/upper/unsaved").read_text() == "kept"
    shelf.remove_aside()
    assert aside.exists()
    aside.rename(aside.with_suffix(f".{machine.now_ms() - 2 * HOUR_MS}"))
    shelf.remove_aside()
    assert list((root / "laid-aside").iterdir()) == []


def test_agent_killed_while_it_looks_for_changes_leaves_what_can_be_saved(
    store: VolumeStore, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = rest(shelf, store, 1, Kind.LOCAL)
    image = Image("standard", "standard-0123456789ab-20261123070000")
    standing.note(volume.path, image)
    (volume.live / "upper/file").touch()

    def killed(_: Volume) -> None:
        raise SystemExit

    with monkeypatch.context() as agent:
        agent.setattr(Volume, "drop", killed)
        with pytest.raises(SystemExit):
            is_dirty(volume)
    volume.mend()
    pending = volume.pending()
    assert pending is not None
    assert pending.image == image
