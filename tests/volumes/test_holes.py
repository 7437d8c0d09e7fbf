"""What the kernel makes of holes, and what we make of that."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

import pytest

from hostagent.linux.files import punch_hole
from hostagent.volumes import holes
from hostagent.volumes.restore import restore
from tests.volumes.conftest import Host, wipe
from tests.volumes.saving import TENANT, save
from tests.volumes.trees import describe

MIB = 1 << 20
GIB = 1 << 30


async def test_one_page_punched_in_an_endless_file(
    host: Host, root: Path, workspace: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel would write 8 EiB of zeros."""
    monkeypatch.setattr(holes, "ZEROS_LIMIT_BYTES", 64 * MIB)  # of 4 GiB, which take seconds
    volume = host.store.create(TENANT, workspace, GIB)
    path = volume.live / "upper/endless"
    path.write_bytes(os.urandom(4096))
    os.truncate(path, 2**63 - 1)
    await save(host.objects, volume)
    with path.open("r+b") as file:
        punch_hole(file.fileno(), 0, 4096)
    version = await save(host.objects, volume)
    assert version.manifest.parent is None
    assert version.manifest.raw_bytes < MIB
    before = describe(version.path / "upper")
    wipe(root)
    host.store.open()
    restored = await restore(host.store, TENANT, workspace, version.sha256, host.objects)
    assert describe(restored.version.path / "upper") == before


async def test_a_hole_costs_nothing_and_zeros_stay_zeros(host: Host, root: Path, workspace: UUID) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    path = volume.live / "upper/file"
    path.write_bytes(os.urandom(32 * MIB))
    await save(host.objects, volume)
    with path.open("r+b") as file:
        punch_hole(file.fileno(), 8 * MIB, 16 * MIB)
        file.seek(MIB)
        file.write(bytes(MIB))  # zeros that are data
    version = await save(host.objects, volume)
    assert version.manifest.raw_bytes < 2 * MIB
    before = describe(version.path / "upper")
    wipe(root)
    host.store.open()
    restored = await restore(host.store, TENANT, workspace, version.sha256, host.objects)
    assert describe(restored.version.path / "upper") == before
    assert (restored.version.path / "upper/file").stat().st_blocks * 512 == 16 * MIB
