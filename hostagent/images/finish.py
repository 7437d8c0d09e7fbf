"""What every sandbox needs of its image, checked and added. The tree is hostile: its links lead nowhere."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hostagent.drivers.builds import BUILD_FILE
from hostagent.errors import AgentError
from hostagent.images.recipe import HOSTS

# Where sandboxes get something mounted. A link in the place of one is the image's own business.
DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "uploads": 0o755,
}
SHELL = "bin/sh"
LINKS_LIMIT = 40  # as in Linux
HINT = "make it with `docker export CONTAINER`, or name an OCI layout"


def finish(root: Path, build: str) -> None:
    """Make an unpacked tree an image. AgentError where it is no root file system."""
    if not _leads_to_a_file(root, SHELL):
        raise AgentError(f"this is no root file system: it has no {SHELL}", _hint(root))
    with _directory(root) as fd:
        for name, mode in DIRECTORIES.items():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=fd)
                os.chmod(name, mode, dir_fd=fd)
    texts = {BUILD_FILE: f"{build}\n", "etc/hosts": HOSTS, "etc/resolv.conf": "", "etc/hostname": "sandbox\n"}
    try:
        with _directory(root, "etc") as fd:
            for path, text in texts.items():
                _replace(fd, path.removeprefix("etc/"), text)
    except NotADirectoryError as error:
        raise AgentError("this is no root file system: its /etc is no directory", HINT) from error


def _hint(root: Path) -> str:
    if os.path.lexists(root / "oci-layout"):
        return "it is an OCI archive: name it as `oci-archive:FILE`"
    if os.path.lexists(root / "manifest.json"):
        return "`docker save` writes layers; use `docker export CONTAINER`"
    return HINT


def _leads_to_a_file(root: Path, path: str) -> bool:
    """Whether the path is a file, seen from inside: parts of it may be links to anywhere in there."""
    todo, done = path.split("/"), list[str]()
    links = 0
    while todo and links <= LINKS_LIMIT:
        name = todo.pop(0)
        if name == "..":
            done = done[:-1]
            continue
        here = root.joinpath(*done, name)  # nothing before the name is a link: it would have been resolved
        if not here.is_symlink():
            done = [*done, name]
            continue
        links += 1
        target = str(here.readlink())
        todo = [*target.strip("/").split("/"), *todo]
        done = [] if target.startswith("/") else done
    return links <= LINKS_LIMIT and root.joinpath(*done).is_file()


@contextlib.contextmanager
def _directory(root: Path, name: str = "") -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    fd = os.open(root / name, flags | (os.O_NOFOLLOW if name else 0))
    try:
        yield fd
    finally:
        os.close(fd)


def _replace(directory: int, name: str, text: str) -> None:
    """Write a file in the place of whatever is there."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o644, dir_fd=directory), "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o644)
