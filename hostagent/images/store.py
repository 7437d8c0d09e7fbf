"""Images on the state file system: read-only subvolumes `images/<name>`, complete or not there at all."""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from hostagent.errors import AgentError
from hostagent.images.mmdebstrap import SUFFIX
from hostagent.images.recipe import BUILD_FILE, RECIPES
from hostagent.linux import btrfs
from hostagent.linux.syscall import AT_FDCWD, check, libc

RENAME_EXCHANGE = 2


def listing(images: Path) -> list[str]:
    """Names of the images that are ready."""
    return sorted(name for name in RECIPES if btrfs.is_subvolume(images / name))


def installed_build(images: Path, name: str) -> str:
    """Which build the image is; empty where there is none."""
    try:
        return (images / name / BUILD_FILE).read_text().strip()
    except FileNotFoundError:
        return ""


def install(images: Path, name: str, tarball: Path) -> Path:
    """Unpack a build into `images/<name>`, in the place of an older one.

    Sandboxes that run on the tenant's own snapshot of the older one keep that."""
    build = tarball.name.removesuffix(SUFFIX)
    target = images / name
    with _workplace(images) as workplace:
        if installed_build(images, name) == build:
            return target
        work = workplace / "work"
        btrfs.subvolume_create(work)
        try:
            _unpack(tarball, work)
            _publish(work, target)
        finally:
            btrfs.subvolume_destroy(work)
        return target


def _publish(work: Path, target: Path) -> None:
    """In one step: a snapshot where there is none, else one beside it that changes places with it."""
    if not target.exists():
        btrfs.subvolume_snapshot(work, target, is_read_only=True)
        return
    # Beside: a read-only subvolume cannot move to another directory. No image's name begins with a dot.
    new = target.with_name(f".{target.name}")
    btrfs.subvolume_destroy(new)  # of one that was killed here
    btrfs.subvolume_snapshot(work, new, is_read_only=True)
    flags = ctypes.c_uint(RENAME_EXCHANGE)
    check(libc.renameat2(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(target), flags), "renameat2")
    btrfs.subvolume_destroy(new)


def _unpack(tarball: Path, directory: Path) -> None:
    """Owners as numbers, as they are inside a sandbox; extended attributes as well; no device nodes."""
    command = ["tar", "--extract", "--numeric-owner", "--same-permissions", "--xattrs", "--xattrs-include=*"]
    command += ["--exclude=./dev/*", "--directory", str(directory)]
    with tarball.open("rb") as source, subprocess.Popen(command, stdin=subprocess.PIPE) as tar:
        try:
            zstandard.ZstdDecompressor().copy_stream(source, cast("IO[bytes]", tar.stdin))
        except (zstandard.ZstdError, BrokenPipeError) as error:
            tar.kill()
            hint = "is the disk full? If not, remove the file and build the image again"
            raise AgentError(f"{tarball} cannot be unpacked: {error}", hint) from error
    if tar.returncode:
        raise AgentError(
            f"{tarball} cannot be unpacked: tar ended with {tar.returncode}", "is the disk full?"
        )


@contextmanager
def _workplace(images: Path) -> Iterator[Path]:
    """An empty directory next to the images, for one at a time. What a killed one left is removed."""
    workplace = images.with_name(f"{images.name}.new")
    workplace.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(workplace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in workplace.iterdir():
            btrfs.subvolume_destroy(left)
        yield workplace
    finally:
        os.close(descriptor)
