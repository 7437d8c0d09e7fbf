"""The machine loses its power: the disk has the transactions that btrfs has committed, and no more."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from hostagent.linux import btrfs
from hostagent.volumes import standing
from hostagent.volumes.manifest import Image
from hostagent.volumes.store import VolumeStore
from tests.volumes.conftest import unmount
from tests.volumes.saving import TENANT
from tests.volumes.test_changes import keep

FS_BYTES = 512 << 20
BUILD = Image("standard", "standard-0123456789ab-20261123070000")


@contextmanager
def mounted(disk: Path, directory: Path) -> Iterator[VolumeStore]:
    directory.mkdir()
    subprocess.run(["mount", "-o", "loop", disk, directory], check=True)
    try:
        btrfs.quota_enable(directory)
        store = VolumeStore(directory)
        store.open()
        yield store
    finally:
        unmount(directory, disk)


def test_kept_version_and_its_image_are_known_afterwards(tmp_path: Path, workspace: UUID) -> None:
    disk, left = tmp_path / "disk", tmp_path / "left"
    with disk.open("xb") as file:
        os.ftruncate(file.fileno(), FS_BYTES)
    btrfs.mkfs(disk)
    with mounted(disk, tmp_path / "before") as store:
        volume = store.create(TENANT, workspace, FS_BYTES)
        standing.note(volume.path, BUILD)
        (volume.live / "upper/file").touch()
        volume.take(1, None)
        keep(volume)
        # What another sandbox does commits all names that there are.
        btrfs.subvolume_snapshot(volume.live, store.root / "other", is_read_only=True)
        subprocess.run(["cp", "--sparse=always", disk, left], check=True)
        expected = volume.head
    with mounted(left, tmp_path / "after") as store:
        volume = store.volume(TENANT, workspace)
        assert volume.head == expected is not None
        assert volume.version(expected).manifest.made_at == 1
        assert standing.noted(volume.path) == BUILD
