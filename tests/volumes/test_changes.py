"""What counts as a change of a volume: whatever a restore would miss, and nothing else."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from hostagent.linux import btrfs
from hostagent.linux.btrfs_search import inodes_changed
from hostagent.volumes import manifest as manifests
from hostagent.volumes.manifest import Manifest, Segment
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.volume import Volume
from tests.volumes.saving import TENANT

GIB = 1 << 30
FILES = 3000  # more than one leaf of the tree, and than one answer of a search


def write_by_mapping(upper: Path) -> None:
    with (upper / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0:1] = b"x"


CHANGES: dict[str, Callable[[Path], object]] = {
    "write": lambda upper: (upper / "file").write_bytes(b"other"),
    "mapping": write_by_mapping,
    "truncate": lambda upper: os.truncate(upper / "file", 1),
    "chmod": lambda upper: (upper / "file").chmod(0o600),
    "chown": lambda upper: os.chown(upper / "file", 7, 7),
    "xattr": lambda upper: os.setxattr(upper / "file", "user.a", b"b"),
    "mtime": lambda upper: os.utime(upper / "file", (1, 1)),
    "link": lambda upper: os.link(upper / "file", upper / "far/link"),
    "symlink": lambda upper: (upper / "far/symlink").symlink_to("nowhere"),
    "rename": lambda upper: (upper / "far/link").rename(upper / "far/renamed"),
    "unlink": lambda upper: (upper / "far/renamed").unlink(),
    "mkdir": lambda upper: (upper / "far/dir").mkdir(),
    "rmdir": lambda upper: (upper / "far/dir").rmdir(),
    "whiteout": lambda upper: os.mknod(upper / "far/gone", 0o020000),
    "the root itself": lambda upper: upper.chmod(0o711),
}


def make(root: Path, workspace: UUID) -> Volume:
    store = VolumeStore(root)
    store.open()
    volume = store.create(TENANT, workspace, GIB)
    upper = volume.live / "upper"
    (upper / "far").mkdir()
    (upper / "file").write_bytes(b"some")
    for number in range(FILES):
        (upper / str(number)).touch()
    return volume


def keep(volume: Volume) -> None:
    """As if the pending snapshot had been sent."""
    pending = volume.pending()
    assert pending is not None
    segment = Segment("0" * 64, 1, 1)
    subvolume = str(btrfs.subvolume_info(pending.path).stream_uuid)
    manifest = Manifest(
        format=1, parent=None, subvolume=subvolume, image=None, raw_bytes=1, raw_sha256="0" * 64,
        segments=[segment], made_at=pending.made_at,
    )  # fmt: skip
    volume.keep(manifests.encode(manifest))


def test_each_change_is_seen_once(root: Path, workspace: UUID) -> None:
    volume = make(root, workspace)
    for number, (name, change) in enumerate({"the first version": lambda upper: None, **CHANGES}.items()):
        change(volume.live / "upper")
        assert volume.take(number, None) is not None, f"{name} was not seen"
        keep(volume)
        assert volume.take(number, None) is None, f"{name} was seen twice"


def test_what_only_overlay_has_or_nobody_can_name_is_no_change(root: Path, workspace: UUID) -> None:
    volume = make(root, workspace)
    volume.take(1, None)
    keep(volume)
    work = volume.live / "work"
    (work / "work").mkdir()
    (work / "work/#1").write_bytes(b"half copied")
    work.chmod(0o700)
    with (work / "nameless").open("wb") as nameless:
        (work / "nameless").rename(volume.live / "upper/nameless")
        volume.take(2, None)
        keep(volume)
        (volume.live / "upper/nameless").unlink()
        volume.take(3, None)
        keep(volume)
        nameless.write(b"to a file without a name")
        nameless.flush()
        assert volume.take(4, None) is None
    assert not volume.looks_changed()


def test_search_finds_all_and_only_what_is_newer(root: Path, workspace: UUID) -> None:
    volume = make(root, workspace)
    files = set(range(FILES)) | {"far", "file", ""}
    expected = {(volume.live / "upper" / str(name)).stat().st_ino for name in files}
    own = {btrfs.SUBVOLUME_INODE, (volume.live / "work").stat().st_ino}
    volume.take(1, None)
    snapshot = volume.versions / "pending"
    found = list(inodes_changed(snapshot, 0))
    assert found == sorted(found)
    assert set(found) == expected | own
    assert list(inodes_changed(snapshot, btrfs.subvolume_info(snapshot).ctransid)) == []
