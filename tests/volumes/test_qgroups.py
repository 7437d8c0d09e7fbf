"""Quota groups that no subvolume has any more."""

from __future__ import annotations

import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from hostagent.linux import btrfs
from hostagent.linux.btrfs_search import subvolumes
from hostagent.volumes import qgroups
from hostagent.volumes.store import VolumeStore
from tests.volumes.conftest import Host
from tests.volumes.saving import TENANT, save

GIB = 1 << 30
GONE = range(100, 105)  # no subvolume has such an id; of others, newer kernels make and leave no qgroup


@pytest.fixture
def stale(root: Path) -> UUID:
    """The file system's id; it has qgroups as kernels before 6.12 leave them."""
    for subvolume in GONE:
        subprocess.run(["btrfs", "qgroup", "create", f"0/{subvolume}", root], check=True)
    return btrfs.uuid(root)


async def test_an_agent_that_starts_sweeps_stale_qgroups(host: Host, workspace: UUID, stale: UUID) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    (volume.live / "upper/file").write_text("kept")
    version = await save(host.objects, volume)
    before = btrfs.qgroups(stale)
    assert set(GONE) < set(before)
    host.store.open()
    assert btrfs.qgroups(stale) == [each for each in before if each not in GONE]
    assert volume.usage()[1] == GIB
    gone = btrfs.subvolume_id(volume.live)
    assert gone in subvolumes(volume.path)
    btrfs.subvolume_destroy(volume.live)
    assert gone not in subvolumes(volume.path)
    host.store.open()  # the kernel may still be at it
    assert volume.has(version.sha256)


def test_the_sweep_is_bounded(root: Path, stale: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qgroups, "SWEEP_LIMIT", 3)
    assert qgroups.sweep_qgroups(root) == 3
    assert set(GONE) & set(btrfs.qgroups(stale)) == {GONE[3], GONE[4]}
    VolumeStore(root).open()
    assert not set(GONE) & set(btrfs.qgroups(stale))
