"""Added, changed and removed paths of two versions."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from uuid import UUID

import pytest

from hostagent.linux import btrfs
from hostagent.volumes.diff import Difference, are_related, diff
from hostagent.volumes.errors import TooManyPaths
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.volume import Volume
from tests.volumes.saving import TENANT
from tests.volumes.trees import Gardener, describe

GIB = 1 << 30


@pytest.fixture
def volume(root: Path, workspace: UUID) -> Volume:
    store = VolumeStore(root)
    store.open()
    return store.create(TENANT, workspace, GIB)


class Pair:
    """Two snapshots of a volume, and its upper directory in between."""

    def __init__(self, volume: Volume) -> None:
        self.upper = volume.live / "upper"
        self._volume = volume
        self._count = 0
        self.old = self.new = self._snapshot()

    def _snapshot(self) -> Path:
        self._count += 1
        path = self._volume.versions / f"{self._count}"
        btrfs.subvolume_snapshot(self._volume.live, path, is_read_only=True)
        return path

    def begin(self) -> None:
        self.old = self._snapshot()

    def diff(self) -> Difference:
        self.new = self._snapshot()
        return diff(self.old, self.new)


def test_each_kind_of_change(volume: Volume) -> None:
    pair = Pair(volume)
    for name in ("same", "rewritten", "gone", "replaced"):
        (pair.upper / name).write_text("a")
    (pair.upper / "kept").mkdir()
    pair.begin()
    (pair.upper / "rewritten").write_text("b")
    (pair.upper / "gone").unlink()
    (pair.upper / "fresh").write_text("b")
    (pair.upper / "fresh").rename(pair.upper / "replaced")
    (pair.upper / "kept/below").touch()
    assert pair.diff() == Difference(["kept/below"], ["replaced", "rewritten"], ["gone"])


def test_a_moved_directory_takes_all_that_is_below(volume: Volume) -> None:
    pair = Pair(volume)
    (pair.upper / "a/b").mkdir(parents=True)
    (pair.upper / "a/b/file").touch()
    pair.begin()
    (pair.upper / "a").rename(pair.upper / "c")
    (pair.upper / "c/b/more").touch()
    expected = ["c", "c/b", "c/b/file", "c/b/more"]
    assert pair.diff() == Difference(expected, [], ["a", "a/b", "a/b/file"])


def test_no_link_leads_to_files_of_the_host(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/below").touch()
    pair = Pair(volume)
    (pair.upper / "first").touch()
    for name in ("moved", "replaced"):
        (pair.upper / name).symlink_to(tmp_path)
    (pair.upper / "loop").symlink_to("loop")
    pair.begin()
    (pair.upper / "moved").rename(pair.upper / "moves")
    (pair.upper / "first").rename(pair.upper / "moved")  # so that the stream renames the link, too
    for name in ("replaced", "loop"):
        (pair.upper / name).unlink()
        (pair.upper / name / "secret").mkdir(parents=True)
    added = ["loop/secret", "moves", "replaced/secret"]
    assert pair.diff() == Difference(added, ["loop", "moved", "replaced"], ["first"])


@pytest.mark.parametrize("change", ["moved", "touched", "gone", "made", "received apart"])
def test_memory_has_a_limit(volume: Volume, change: str) -> None:
    pair = Pair(volume)
    top = pair.upper / "top"

    def make() -> None:
        top.mkdir()
        for number in range(1000):
            (top / f"{number}").touch()

    if change != "made":
        make()
    pair.begin()
    if change == "moved":
        top.rename(pair.upper / "other")
    elif change == "touched":
        for path in top.iterdir():
            path.chmod(0o600)
    elif change == "made":
        make()
    else:
        shutil.rmtree(top)
    if change == "received apart":
        pair.upper.rename(pair.upper.with_name("old"))
        pair.upper.mkdir()
        make()
    assert pair.diff() != Difference()
    assert are_related(pair.old, pair.new) == (change != "received apart")
    with pytest.raises(TooManyPaths):
        diff(pair.old, pair.new, room_bytes=50_000)


def test_what_overlayfs_writes_reads_as_what_the_user_did(volume: Volume) -> None:
    pair = Pair(volume)
    os.mknod(pair.upper / "comes-back", stat.S_IFCHR, 0)
    pair.begin()
    os.mknod(pair.upper / "from-image", stat.S_IFCHR, 0)
    (pair.upper / "comes-back").unlink()
    (pair.upper / "etc").mkdir()
    os.setxattr(pair.upper / "etc", "trusted.overlay.origin", b"x")
    (pair.upper / "etc/passwd").touch()
    os.setxattr(pair.upper / "etc/passwd", "trusted.overlay.origin", b"x")
    (pair.upper / "opaque").mkdir()
    os.setxattr(pair.upper / "opaque", "trusted.overlay.opaque", b"y")
    (pair.upper.parent / "work/not-the-users").touch()
    assert pair.diff() == Difference(["comes-back"], ["etc/passwd", "opaque"], ["from-image"])


def test_a_rewrite_that_hides_its_time_is_seen(volume: Volume) -> None:
    pair = Pair(volume)
    file = pair.upper / "file"
    file.write_text("a")
    status = file.stat()
    pair.begin()
    file.write_text("b")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert pair.diff().changed == ["file"]


def test_names_that_no_text_has(volume: Volume) -> None:
    pair = Pair(volume)
    name = os.fsdecode(b"\xff\n\x1b[31m \\ from=x")
    (pair.upper / name).touch()
    assert pair.diff().added == [name]


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_walk_through_both(volume: Volume, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(volume)
    gardener = Gardener(pair.upper, seed)
    # What stands for something of the image has a test of its own.
    monkeypatch.setattr(gardener, "opaque", gardener.directory)
    monkeypatch.setattr(gardener, "whiteout", gardener.fifo)
    gardener.plant()
    pair.begin()
    gardener.edit(80)
    found = pair.diff()
    old, new = _visible(pair.old), _visible(pair.new)
    assert set(found.added) == new.keys() - old.keys()
    assert set(found.removed) == old.keys() - new.keys()
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    assert set(found.changed) <= changed
    # A file with several names is named once at least, maybe by a new one.
    assert _inodes(pair.new, changed) <= _inodes(pair.new, {*found.changed, *found.added})


def _visible(snapshot: Path) -> dict[str, object]:
    """What a user of the volume may notice of each path."""
    tree = describe(snapshot / "upper")
    return {name: _noticed(entry) for name, entry in tree.items() if name != "."}


def _inodes(snapshot: Path, names: set[str]) -> set[int]:
    return {(snapshot / "upper" / name).lstat().st_ino for name in names}


def _noticed(entry: tuple[object, ...]) -> tuple[object, ...]:
    mode, uid, gid, mtime_ns, _, _, attributes, content = entry
    is_directory = stat.S_ISDIR(int(str(mode), 8))
    return mode, uid, gid, None if is_directory else mtime_ns, attributes, content
