"""Images on the state file system (`hostagent.drivers.builds`): read-only subvolumes, complete or not there.

Whoever makes one does so in `images.new/`, one at a time, and puts it in its place in one step.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zstandard

from hostagent.drivers import builds
from hostagent.errors import AgentError
from hostagent.images.mmdebstrap import SUFFIX
from hostagent.images.unpack import unpack
from hostagent.linux import btrfs
from hostagent.linux.syscall import AT_FDCWD, check, libc

RENAME_EXCHANGE = 2
PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Installed:
    """A present image, as `hostagent image list` shows it."""

    name: str
    build: str
    size_bytes: int
    made_at: int  # Unix ms; 0: not known


def listing(images: Path) -> list[str]:
    """Names of the images that are ready."""
    return builds.present(images)


def installed(images: Path) -> list[Installed]:
    return [_installed(images / name) for name in builds.present(images)]


def _installed(path: Path) -> Installed:
    build = builds.build_of(path)
    return Installed(path.name, build, size_bytes(path), builds.made_at(path) if build else 0)


def size_bytes(image: Path) -> int:
    used, _ = btrfs.qgroup_usage(btrfs.uuid(image), btrfs.subvolume_id(image))
    return used


def installed_build(images: Path, name: str) -> str:
    """Which build the image is; empty where there is none."""
    return builds.build_of(images / name)


def install(images: Path, name: str, tarball: Path) -> Path:
    """Unpack a build of ours into `images/<name>`, in the place of an older one."""
    build = tarball.name.removesuffix(SUFFIX)
    with fresh(images) as work:
        if installed_build(images, name) != build:
            with tarball.open("rb") as source:
                _unpack(tarball, zstandard.ZstdDecompressor().read_to_iter(source, PART_BYTES), work)
            publish(work, images / name)
    return images / name


def adopt(images: Path, name: str, build: str, source: Path, *, is_present: bool) -> None:
    """Have a copy of the subvolume `source`, which is this build: as the present one, or beside it."""
    if builds.build_of(source) != build:
        raise AgentError(f"what was to be the build {build} of {name} says that it is another one")
    with fresh(images):  # nobody else changes what is there
        found = builds.find(images, name, build)
        if is_present and found != images / name:
            publish(source, images / name)
        elif found is None:
            btrfs.subvolume_snapshot(source, builds.kept_path(images, name, build), is_read_only=True)


def publish(work: Path, target: Path) -> None:
    """Make a read-only copy of `work` the image, in one step. The former build stays beside it until nothing
    stands on it (`hostagent.drivers.tenants`)."""
    if not target.exists():
        btrfs.subvolume_snapshot(work, target, is_read_only=True)
        return
    # Beside: a read-only subvolume cannot move to another directory. No image's name begins with a dot.
    new = target.with_name(f".{target.name}")
    _keep(new, target)  # of one that was killed here
    btrfs.subvolume_snapshot(work, new, is_read_only=True)
    flags = ctypes.c_uint(RENAME_EXCHANGE)
    check(libc.renameat2(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(target), flags), "renameat2")
    _keep(new, target)


def _keep(former: Path, target: Path) -> None:
    """Give a build that was replaced the name of one that is kept, unless it is there under another."""
    if not btrfs.is_subvolume(former):
        return
    build = builds.build_of(former)
    if not build or builds.find(target.parent, target.name, build) is not None:
        btrfs.subvolume_destroy(former)
    else:
        former.rename(builds.kept_path(target.parent, target.name, build))


def _unpack(tarball: Path, parts: Iterator[bytes], directory: Path) -> None:
    try:
        unpack(parts, directory)
    except zstandard.ZstdError as error:
        hint = "remove the file and build the image again"
        raise AgentError(f"{tarball} cannot be unpacked: {error}", hint) from error
    except AgentError as error:
        raise AgentError(f"{tarball} cannot be unpacked: {error.message}", error.hint) from error


@contextmanager
def fresh(images: Path) -> Iterator[Path]:
    """A new subvolume next to the images, for one at a time; gone afterwards."""
    workplace = images.with_name(f"{images.name}.new")
    workplace.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(workplace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in workplace.iterdir():  # by one that was killed
            btrfs.subvolume_destroy(left)
        work = workplace / "work"
        btrfs.subvolume_create(work)
        try:
            yield work
        finally:
            btrfs.subvolume_destroy(work)
    finally:
        os.close(descriptor)
