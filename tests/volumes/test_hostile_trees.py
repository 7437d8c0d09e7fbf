"""Trees that somebody makes to break a save: very many files, very many links, and links that come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from hostagent.volumes.restore import restore
from tests.servers import REPOSITORY
from tests.volumes.conftest import Host, wipe
from tests.volumes.s3 import S3Server
from tests.volumes.saving import TENANT, save
from tests.volumes.trees import describe, walk

MIB = 1 << 20
GIB = 1 << 30
FILES = int(os.environ.get("VOLUMES_FILES", "2000"))  # 1,000,000 on a long run
FILES_IN_ONE = 1000
LINKS = int(os.environ.get("VOLUMES_LINKS", "2000"))  # 65,000 are the most that btrfs takes
RACED_SAVES = int(os.environ.get("VOLUMES_RACED", "12"))
MEMORY_BYTES = 160 * MIB  # as in test_volumes: no more for many files than for a large one
CANARY = b"what no save may ever read"
LONG_AGO = 1_000_000_000


def test_memory_does_not_grow_with_the_number_of_files(
    host: Host, root: Path, s3: S3Server, workspace: UUID
) -> None:
    volume = host.store.create(TENANT, workspace, 8 * GIB)
    for number in range(FILES):
        directory = volume.live / "upper" / str(number // FILES_IN_ONE)
        if number % FILES_IN_ONE == 0:
            directory.mkdir()
        (directory / str(number)).write_bytes(b"%d" % number)
    command = [sys.executable, "-m", "tests.volumes.measured", str(root), str(s3.port), str(workspace)]
    answer = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    _, memory_bytes = map(int, answer.split())
    assert memory_bytes < MEMORY_BYTES
    print(FILES, "files:", memory_bytes / MIB, "MiB")
    [version] = volume.local_versions()
    found = sorted(int(path.name) for path in volume.version(version).path.glob("upper/*/*"))
    assert found == list(range(FILES))


async def test_a_farm_of_hard_links(host: Host, root: Path, workspace: UUID) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    first = volume.live / "upper" / ("n" * 200)
    first.write_bytes(b"one file")
    for number in range(LINKS):
        directory = volume.live / "upper" / str(number // FILES_IN_ONE)
        directory.mkdir(exist_ok=True)
        (directory / f"{number}{'n' * 200}").hardlink_to(first)
    await save(host.objects, volume)
    for number in range(0, LINKS, 2):
        (volume.live / f"upper/{number // FILES_IN_ONE}/{number}{'n' * 200}").unlink()
    first.write_bytes(b"the same file")
    version = await save(host.objects, volume)
    before = describe(version.path / "upper")
    wipe(root)
    host.store.open()
    restored = await restore(host.store, TENANT, workspace, version.sha256, host.objects)
    assert describe(restored.version.path / "upper") == before
    status = (restored.version.path / "upper" / first.name).stat()
    assert status.st_nlink == 1 + LINKS - len(range(0, LINKS, 2))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Files that tell if they were read: the time of access changes where it is older than the data."""
    path = tmp_path / "outside"
    path.mkdir()
    for name in ("file", "control"):
        (path / name).write_bytes(CANARY * 4000)
        os.utime(path / name, (LONG_AGO, LONG_AGO + 1))
    return path


@contextmanager
def racer(directory: Path, outside: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.volumes.racer", str(directory), str(outside)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


async def test_links_that_come_and_go_while_it_is_saved(
    host: Host, root: Path, workspace: UUID, outside: Path
) -> None:
    """Somebody in the sandbox swaps directories and links to outside all the time. A save reads snapshots
    alone, in which nothing is swapped, and follows no link there."""
    volume = host.store.create(TENANT, workspace, GIB)
    kinds: set[bool] = set()
    with racer(volume.live / "upper", outside) as process:
        for number in range(RACED_SAVES):
            version = await save(host.objects, volume, number)
            kinds |= {(version.path / "upper" / name).is_symlink() for name in ("tree", "file")}
        assert process.poll() is None
    assert kinds == {True, False}  # it was in the midst of it
    before = describe(version.path / "upper")
    wipe(root)
    host.store.open()
    restored = await restore(host.store, TENANT, workspace, version.sha256, host.objects)
    assert describe(restored.version.path / "upper") == before
    for path, status in walk(restored.version.path / "upper"):
        assert not path.is_file() or path.is_symlink() or CANARY not in path.read_bytes(), (path, status)
    assert_untouched(outside)


def assert_untouched(outside: Path) -> None:
    assert (outside / "control").read_bytes() == CANARY * 4000
    assert (outside / "control").stat().st_atime > LONG_AGO  # here, a read shows
    status = (outside / "file").stat()
    assert (status.st_atime, status.st_mtime) == (LONG_AGO, LONG_AGO + 1)
    assert sorted(path.name for path in outside.iterdir()) == ["control", "file"]
