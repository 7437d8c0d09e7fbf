"""Volumes and their versions on one host and on two."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import random
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hostagent.linux import btrfs
from hostagent.volumes.errors import VolumeExists, VolumeMissing, VolumeTooFull
from hostagent.volumes.restore import restore
from hostagent.volumes.volume import Volume
from tests.servers import REPOSITORY
from tests.volumes.conftest import Host, wipe
from tests.volumes.s3 import S3Server
from tests.volumes.saving import TENANT, save
from tests.volumes.trees import describe

MIB = 1 << 20
GIB = 1 << 30
LARGE_BYTES = int(os.environ.get("VOLUMES_LARGE_MIB", "256")) * MIB
MEMORY_BYTES = 160 * MIB  # 4 pieces going up or coming down, one in work, and what the allocator keeps


@pytest.fixture
def volume(host: Host, workspace: UUID) -> Volume:
    return host.store.create(TENANT, workspace, GIB)


async def test_nothing_is_saved_where_nothing_was_changed(host: Host, volume: Volume) -> None:
    (volume.live / "upper/file").write_text("a")
    await save(host.objects, volume)
    assert volume.take(2, None) is None
    assert volume.pending() is None
    with (volume.live / "upper/file").open("r+") as file:
        file.write("b")  # in the page cache only, in the same tick of the clock perhaps
        file.flush()
        assert volume.take(3, None) is not None


def test_what_is_written_through_a_mapping_is_in_the_snapshot(volume: Volume) -> None:
    """Also into pages that were written out and are mapped still."""
    path = volume.live / "upper/file"
    path.write_bytes(bytes(100 * mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        for number in range(20):
            for page in range(number, 100, 7):
                mapping[page * mmap.PAGESIZE] = number + 1
            if number % 3 == 0:
                mapping.flush()
                mapping[number * mmap.PAGESIZE] = 99
            pending = volume.take(number, None)
            assert pending is not None
            assert (pending.path / "upper/file").read_bytes() == mapping[:]
            volume.drop()


async def test_the_snapshot_waits_unchanged_for_its_second_chance(host: Host, volume: Volume) -> None:
    (volume.live / "upper/file").write_text("a")
    first = volume.take(1, None)
    (volume.live / "upper/file").write_text("b")
    host.store.open()  # as after a restart
    assert volume.take(2, None) == first
    assert first is not None
    assert (first.path / "upper/file").read_text() == "a"


async def test_only_what_is_missing_is_fetched(
    host: Host, root: Path, volume: Volume, workspace: UUID
) -> None:
    versions = []
    for number in range(3):
        (volume.live / "upper" / str(number)).write_bytes(random.randbytes(1000))
        versions.append(await save(host.objects, volume, number))
    wipe(root)
    host.store.open()
    first, _, last = versions
    await restore(host.store, TENANT, workspace, first.sha256, host.objects)
    host.signing.gets.clear()
    restored = await restore(host.store, TENANT, workspace, last.sha256, host.objects)
    missing = versions[1:]
    assert restored.received == tuple(version.sha256 for version in missing)
    segments = [segment.sha256 for version in missing for segment in version.manifest.segments]
    assert sorted(host.signing.gets) == sorted([*restored.received, *segments])
    assert restored.stored_bytes > 0
    again = await restore(host.store, TENANT, workspace, last.sha256, host.objects)
    assert (again.received, again.stored_bytes) == ((), 0)


async def test_hints_save_round_trips_and_wrong_ones_do_no_harm(
    host: Host, root: Path, volume: Volume, workspace: UUID
) -> None:
    chain = []
    for number in range(5):
        (volume.live / "upper" / str(number)).touch()
        chain.append((await save(host.objects, volume, number)).sha256)
    wipe(root)
    host.store.open()
    host.signing.calls = 0
    await restore(host.store, TENANT, workspace, chain[-1], host.objects, [*chain, "f" * 64])
    assert host.signing.calls < len(chain)
    assert volume.local_versions() == [chain[-1]]


async def test_what_was_restored_is_saved_on_and_restored_again(
    host: Host, root: Path, volume: Volume, workspace: UUID
) -> None:
    (volume.live / "upper/first").write_text("1")
    head = await save(host.objects, volume)
    for number in range(3):
        wipe(root)
        host.store.open()
        await restore(host.store, TENANT, workspace, head.sha256, host.objects)
        volume.make_live(volume.version(head.sha256), GIB)
        (volume.live / "upper" / f"host{number}").touch()
        head = await save(host.objects, volume)
        assert head.manifest.parent is not None
    assert sorted(path.name for path in (head.path / "upper").iterdir()) == [
        "first",
        "host0",
        "host1",
        "host2",
    ]


async def test_a_fork_shares_and_goes_its_own_way(host: Host, root: Path, volume: Volume) -> None:
    (volume.live / "upper/file").write_text("base")
    base = await save(host.objects, volume)
    before = describe(base.path)
    fork_id = uuid4()
    fork = host.store.fork(base, TENANT, fork_id, GIB)
    with pytest.raises(VolumeExists):
        host.store.fork(base, TENANT, fork_id, GIB)
    fork.adopt_version(base)
    volume.delete()  # the fork needs nothing of it
    (fork.live / "upper/file").write_text("fork")
    version = await save(host.objects, fork)
    assert version.manifest.parent == base.sha256
    wipe(root)
    host.store.open()
    restored = await restore(host.store, TENANT, fork_id, version.sha256, host.objects)
    assert (restored.version.path / "upper/file").read_text() == "fork"
    back = await restore(host.store, TENANT, uuid4(), base.sha256, host.objects)
    assert describe(back.version.path / "upper") == {
        name.removeprefix("upper/") if name != "upper" else ".": entry
        for name, entry in _below_upper(before).items()
    }


def _below_upper(tree: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    found = {}
    for name, entry in tree.items():
        if name == "upper" or name.startswith("upper/"):
            values = list(entry)
            values[4] = Path(str(entry[4])).relative_to("upper")
            found[name] = tuple(values)
    return found


async def test_the_parent_is_found_in_another_volume_of_the_tenant_only(
    host: Host, volume: Volume, workspace: UUID
) -> None:
    version = await save(host.objects, volume)
    assert host.store.find(TENANT, version.sha256) is not None
    assert host.store.find("u2", version.sha256) is None
    assert host.store.find(TENANT, "../" + version.sha256) is None
    other = await restore(host.store, TENANT, uuid4(), version.sha256, host.objects)
    assert other.received == ()


async def test_two_restores_of_one_version_at_once(
    host: Host, root: Path, volume: Volume, workspace: UUID
) -> None:
    (volume.live / "upper/data").write_bytes(random.randbytes(9 * MIB))
    first = await save(host.objects, volume)
    (volume.live / "upper/more").touch()
    version = await save(host.objects, volume)
    before = describe(version.path / "upper")
    wipe(root)
    host.store.open()
    places = [workspace, workspace, uuid4()]
    found = await asyncio.gather(
        *(restore(host.store, TENANT, place, version.sha256, host.objects) for place in places)
    )
    for one in found:
        assert describe(one.version.path / "upper") == before
    assert host.store.find(TENANT, first.sha256) is None


async def test_only_wanted_versions_are_retained(host: Host, volume: Volume) -> None:
    made = []
    for number in range(4):
        (volume.live / "upper" / str(number)).touch()
        made.append((await save(host.objects, volume)).sha256)
    volume.retain([made[1]])
    assert volume.local_versions() == sorted([made[1], made[3]])
    with pytest.raises(VolumeMissing):
        volume.version(made[0])


async def test_an_older_version_becomes_live_again(host: Host, volume: Volume) -> None:
    (volume.live / "upper/file").write_text("old")
    old = await save(host.objects, volume)
    (volume.live / "upper/file").write_text("new")
    await save(host.objects, volume)
    (volume.live / "work/left").touch()
    volume.make_live(old, GIB)
    assert (volume.live / "upper/file").read_text() == "old"
    assert list((volume.live / "work").iterdir()) == []
    assert volume.head == old.sha256


def append(path: Path, mebibytes: int) -> None:
    with path.open("ab", buffering=0) as file:
        for _ in range(mebibytes):
            file.write(random.randbytes(MIB))
            os.fsync(file.fileno())


def test_a_full_volume_refuses_and_grows_online(volume: Volume) -> None:
    volume.resize(64 * MIB)
    file = volume.live / "upper/file"
    with pytest.raises(OSError, match="quota") as refused:
        append(file, 100)
    assert refused.value.errno == errno.EDQUOT
    volume.resize(GIB)
    append(file, 1)
    with pytest.raises(VolumeTooFull):
        volume.resize(16 * MIB)
    used, limit = volume.usage()
    assert 32 * MIB < used < limit == GIB


async def test_a_restore_is_not_held_up_by_the_limit_of_live(
    host: Host, root: Path, volume: Volume, workspace: UUID
) -> None:
    (volume.live / "upper/data").write_bytes(random.randbytes(20 * MIB))
    version = await save(host.objects, volume)
    wipe(root)
    host.store.open()
    await restore(host.store, TENANT, workspace, version.sha256, host.objects)
    volume.make_live(volume.version(version.sha256), 8 * MIB)
    assert describe(volume.live / "upper") == describe(volume.version(version.sha256).path / "upper")
    with pytest.raises(OSError, match="quota"):
        (volume.live / "upper/more").write_bytes(random.randbytes(MIB))


async def test_delete_leaves_nothing(host: Host, root: Path, volume: Volume, workspace: UUID) -> None:
    await save(host.objects, volume)
    volume.take(2, None)
    assert host.store.volumes() == [(TENANT, workspace)]
    volume.delete()
    assert host.store.volumes() == []
    assert list((root / "volumes" / TENANT).iterdir()) == []
    volume.delete()


def test_half_made_things_are_gone_after_open(host: Host, volume: Volume, root: Path) -> None:
    btrfs.subvolume_create(volume.versions / ("a" * 64 + ".new"))
    btrfs.subvolume_create(volume.versions / ("b" * 64))
    (volume.versions / ("c" * 64 + ".json")).write_text("{}")
    btrfs.subvolume_create(root / "received/x")
    btrfs.subvolume_create(root / "received/x/1")
    half = root / "volumes" / TENANT / str(uuid4())
    (half / "versions").mkdir(parents=True)
    btrfs.subvolume_create(half / "live.new")
    host.store.open()
    assert volume.local_versions() == []
    assert [path.name for path in volume.versions.iterdir()] == []
    assert list((root / "received").iterdir()) == []
    assert not half.exists()


def test_memory_does_not_grow_with_the_volume(
    host: Host, root: Path, s3: S3Server, volume: Volume, workspace: UUID
) -> None:
    volume.resize(2 * LARGE_BYTES)
    with (volume.live / "upper/data").open("wb") as file:
        for _ in range(LARGE_BYTES // MIB):
            file.write(os.urandom(MIB))  # no two alike: pieces that do not compress are the largest
    command = [sys.executable, "-m", "tests.volumes.measured", str(root), str(s3.port), str(workspace)]
    answer = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    raw_bytes, memory_bytes = map(int, answer.split())
    print(raw_bytes / MIB, "MiB took", memory_bytes / MIB, "MiB")
    assert raw_bytes > LARGE_BYTES
    assert memory_bytes < MEMORY_BYTES
