"""Puts links to outside where files and directories of a volume were, and back, until it is ended:
`python -m tests.volumes.racer <directory> <outside>`."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path


def main(directory: Path, outside: Path) -> None:
    swapped = {"tree": outside, "file": outside / "file", "root": Path("/"), "up": Path("../../../../..")}
    for name in ("tree", "root", "up"):
        (directory / name).mkdir()
    (directory / "tree/file").write_bytes(os.urandom(100_000))
    (directory / "file").write_bytes(os.urandom(100_000))
    for name, target in swapped.items():
        (directory / f"{name}.link").symlink_to(target)
    print("ready", flush=True)
    for number in itertools.count():
        for name in swapped:
            real, link, away = directory / name, directory / f"{name}.link", directory / f"{name}.away"
            real.rename(away)
            link.rename(real)
            _scribble(away, number)
            real.rename(link)
            away.rename(real)


def _scribble(path: Path, number: int) -> None:
    """A change that a save must look at: data, then a hole, which is looked up by its path."""
    if path.is_dir():
        (path / "file").write_bytes(bytes(4096) * (number % 30) + b"some")
    else:
        with path.open("r+b") as file:
            file.seek(number % 20 * 4096)
            file.write(bytes(4096))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
