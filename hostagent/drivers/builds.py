"""Which builds of images are on this host.

    images/<name>            the present build: what a sandbox stands on unless it asks for another one
    images/<name>@<build>    one that is kept, because a volume was written on it

What is in an image may be hostile: its files are opened without following a link of its.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostagent.linux import btrfs

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
BUILD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
BUILD_FILE = "etc/mags-image"  # inside every image: which build it is
READ_LIMIT_BYTES = 256


@dataclass(frozen=True, slots=True)
class Kept:
    """A build beside the present one."""

    path: Path
    name: str
    build: str


def build_of(image: Path) -> str:
    """Which build the subvolume says that it is; empty where it says nothing that can be one."""
    with contextlib.suppress(OSError), _opened(image) as fd:
        text = os.read(fd, READ_LIMIT_BYTES).decode(errors="replace").strip()
        return text if BUILD.fullmatch(text) else ""
    return ""


def made_at(image: Path) -> int:
    """When the build was made, in Unix ms. OSError where that cannot be read."""
    with _opened(image) as fd:
        return os.fstat(fd).st_mtime_ns // 1_000_000


def find(images: Path, name: str, build: str = "") -> Path | None:
    """Where the build is; without one, the present one."""
    present = images / name
    if btrfs.is_subvolume(present) and build in ("", build_of(present)):
        return present
    beside = kept_path(images, name, build)
    return beside if build and btrfs.is_subvolume(beside) else None


def kept_path(images: Path, name: str, build: str) -> Path:
    return images / f"{name}@{build}"


def present(images: Path) -> list[str]:
    """Names of the images that are here."""
    names = (path.name for path in images.iterdir() if btrfs.is_subvolume(path))
    return sorted(name for name in names if NAME.fullmatch(name))


def kept(images: Path) -> Iterator[Kept]:
    for path in images.glob("*@*"):
        name, _, build = path.name.partition("@")
        yield Kept(path, name, build)


@contextlib.contextmanager
def _opened(image: Path) -> Iterator[int]:
    """The build file, if it is a file: a link would lead out of the image."""
    directory, name = BUILD_FILE.split("/")
    with contextlib.ExitStack() as undo:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        root = os.open(image, flags)
        undo.callback(os.close, root)
        parent = os.open(directory, flags | os.O_NOFOLLOW, dir_fd=root)
        undo.callback(os.close, parent)
        # Not blocked by a pipe of that name either.
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        undo.callback(os.close, fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(f"{image / BUILD_FILE} is no file")
        yield fd
