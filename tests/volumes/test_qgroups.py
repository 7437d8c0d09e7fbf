"""Quota groups that no subvolume has any more."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
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
    after = set(btrfs.qgroups(stale))  # the kernel's cleaner removes some of its own meanwhile
    assert after <= set(before) - set(GONE)
    assert btrfs.subvolume_id(volume.live) in after
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


def test_what_is_not_counted_yet_is_left_alone(root: Path) -> None:
    """Else the kernel marks all numbers as wrong, and no limit holds any more."""
    for number in range(5):
        subvolume = root / f"gone-{number}"
        btrfs.subvolume_create(subvolume)
        (subvolume / "file").write_bytes(os.urandom(1 << 20))
        os.sync()
        gone = btrfs.subvolume_id(subvolume)
        btrfs.subvolume_destroy(subvolume)
        with ThreadPoolExecutor(1) as thread:
            dropped = thread.submit(_wait_for_the_cleaner, root)
            while not btrfs.qgroup_destroy(root, gone):
                if dropped.done():
                    dropped = thread.submit(_wait_for_the_cleaner, root)
    assert not btrfs.is_quota_wrong(root)


def _wait_for_the_cleaner(root: Path) -> None:
    # A commit wakes it, which waits for half a minute otherwise; another one does the accounting.
    for command in (["filesystem", "sync"], ["subvolume", "sync"], ["filesystem", "sync"]):
        subprocess.run(["btrfs", *command, root], check=True, capture_output=True)


def test_wrong_numbers_are_counted_anew(root: Path) -> None:
    subvolume = root / "full"
    btrfs.subvolume_create(subvolume)
    btrfs.qgroup_limit(subvolume, 16 << 20)
    (subvolume / "some").write_bytes(os.urandom(1 << 20))
    os.sync()
    group = f"0/{btrfs.subvolume_id(subvolume)}"
    for command in (["create", "1/100"], ["assign", "--no-rescan", group, "1/100"]):
        subprocess.run(["btrfs", "--quiet", "qgroup", *command, root], check=True)
    btrfs.subvolume_snapshot(subvolume, root / "copy", is_read_only=False)
    os.sync()
    assert btrfs.is_quota_wrong(root)
    btrfs.quota_mend(root)
    btrfs.quota_mend(root)  # it is under way, or done
    _wait_for_the_count(root)
    with pytest.raises(OSError, match="quota"):
        (subvolume / "file").write_bytes(os.urandom(32 << 20))
    for path in (subvolume, root / "copy"):  # others share the file system
        btrfs.subvolume_destroy(path)
    _wait_for_the_cleaner(root)
    _wait_for_the_count(root)


def _wait_for_the_count(root: Path) -> None:
    subprocess.run(["btrfs", "quota", "rescan", "-w", root], check=True, capture_output=True)
    assert not btrfs.is_quota_wrong(root)
