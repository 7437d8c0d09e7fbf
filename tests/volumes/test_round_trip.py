"""What is saved is what is restored."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

from hostagent.volumes.restore import restore
from tests.volumes.conftest import Host, wipe
from tests.volumes.saving import TENANT, save
from tests.volumes.trees import Gardener, Tree, describe

GIB = 1 << 30
CYCLES = int(os.environ.get("VOLUMES_CYCLES", "5"))  # 50 on a long run
EDITS = 40  # in each cycle
SEED = int(os.environ.get("VOLUMES_SEED", "1"))


async def test_random_trees_survive_any_number_of_hosts(host: Host, root: Path, workspace: UUID) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    gardener = Gardener(volume.live / "upper", SEED)
    gardener.plant()
    for cycle in range(CYCLES):
        gardener.edit(EDITS)
        version = await save(host.objects, volume, cycle)
        before = describe(version.path / "upper")
        wipe(root)
        host.store.open()
        restored = await restore(host.store, TENANT, workspace, version.sha256, host.objects)
        assert_same(before, describe(restored.version.path / "upper"), cycle)
        volume.make_live(volume.version(version.sha256), GIB)


def assert_same(before: Tree, after: Tree, cycle: int) -> None:
    names = sorted(before.keys() | after.keys())
    found = [(n[-40:], before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]
    assert not found, f"seed {SEED}, cycle {cycle}: {found[:3]!r}"[:3000]
