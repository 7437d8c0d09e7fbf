"""Trees that are deeper than any path can name."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from uuid import UUID

from hostagent.volumes.restore import restore
from tests.volumes.conftest import Host, wipe
from tests.volumes.saving import TENANT, save

GIB = 1 << 30
DEPTH = int(os.environ.get("VOLUMES_DEPTH", "1500"))  # 18,000 bytes of path
NAME = "a-directory"
Step = tuple[list[str], int, int]


def dig(path: Path) -> None:
    """Directories in directories, with a file here and there."""
    fd = os.open(path, os.O_RDONLY)
    for depth in range(DEPTH):
        os.mkdir(NAME, 0o700 + depth % 8, dir_fd=fd)
        if depth % 100 == 0:
            os.close(os.open(f"file{depth}", os.O_CREAT, 0o600, dir_fd=fd))
        below = os.open(NAME, os.O_RDONLY, dir_fd=fd)
        os.utime(fd, ns=(depth, depth))
        os.close(fd)
        fd = below
    os.close(fd)


def look(path: Path) -> list[Step]:
    """Names, mode and time of each directory on the way down."""
    found = []
    fd = os.open(path, os.O_RDONLY)
    while True:
        names, status = sorted(entry.name for entry in os.scandir(fd)), os.fstat(fd)
        found.append((names, stat.S_IMODE(status.st_mode), status.st_mtime_ns))
        if NAME not in names:
            os.close(fd)
            return found
        below = os.open(NAME, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below


async def test_a_tree_deeper_than_any_path_survives(host: Host, root: Path, workspace: UUID) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    (volume.live / "upper/first").touch()
    await save(host.objects, volume)
    dig(volume.live / "upper")
    before = look(volume.live / "upper")
    assert len(before) == DEPTH + 1
    deep = await save(host.objects, volume)
    (volume.live / "upper/last").touch()
    last = await save(host.objects, volume)
    after = look(volume.live / "upper")
    for version, expected in ((deep, before), (last, after)):
        assert version.manifest.parent is None
        wipe(root)
        host.store.open()
        restored = await restore(host.store, TENANT, workspace, version.sha256, host.objects)
        assert look(restored.version.path / "upper") == expected
        assert sorted(path.name for path in restored.version.path.iterdir()) == ["upper", "work"]


async def test_a_restored_deep_tree_is_saved_on(host: Host, root: Path, workspace: UUID) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    dig(volume.live / "upper")
    deep = await save(host.objects, volume)
    wipe(root)
    host.store.open()
    await restore(host.store, TENANT, workspace, deep.sha256, host.objects)
    volume.make_live(volume.version(deep.sha256), GIB)
    (volume.live / "upper" / NAME).rename(volume.live / "work" / NAME)
    await save(host.objects, volume)
    volume.make_live(None, GIB)
    (volume.live / "upper/shallow").touch()
    shallow = await save(host.objects, volume)
    (volume.live / "upper/more").touch()
    more = await save(host.objects, volume)
    assert more.manifest.parent == shallow.sha256
    wipe(root)
    host.store.open()
    restored = await restore(host.store, TENANT, workspace, more.sha256, host.objects)
    assert sorted(path.name for path in (restored.version.path / "upper").iterdir()) == ["more", "shallow"]
