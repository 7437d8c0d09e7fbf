"""Root file systems so small that they are made in a moment: a shell, and what it needs to run."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

LIBRARIES = ("usr/lib/*/libc.so.6", "usr/lib/*/ld-linux*.so.*", "usr/lib64/ld-linux*.so.*")


def make_root(standard: Path, root: Path, marker: str) -> Path:
    """A tree in which `read -r line < /marker` works."""
    (root / "etc").mkdir(parents=True)
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(standard / "usr/bin/dash", root / "usr/bin/sh")
    for pattern in LIBRARIES:
        for found in standard.glob(pattern):
            target = root / found.relative_to(standard)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, target, follow_symlinks=True)
    for name in ("bin", "lib", "lib64"):
        (root / "usr" / name).mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "marker").write_text(f"{marker}\n")
    return root


def make_tarball(root: Path, path: Path, mode: str = "w") -> Path:
    """As `docker export` writes it: names without `./`."""
    with tarfile.open(path, mode) as tar:
        for found in sorted(root.iterdir()):
            tar.add(found, found.name)
    return path
