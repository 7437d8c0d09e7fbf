"""An image of the Open Container Initiative: an `oci-layout` directory, or a tarball of one.

`umoci` knows how layers make a tree. It runs as confined as tar does.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostagent.errors import AgentError
from hostagent.images.source import opened
from hostagent.images.unpack import feed, unpack
from hostagent.linux import btrfs

MARK = "oci-layout"
DIRECTORY, ARCHIVE = "oci:", "oci-archive:"
TAG = "org.opencontainers.image.ref.name"
INDEX_LIMIT_BYTES = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


def is_oci(source: str) -> bool:
    return source.startswith((DIRECTORY, ARCHIVE)) or (Path(source) / MARK).is_file()


@contextmanager
def layout(source: str, workplace: Path) -> Iterator[Path]:
    """The directory, unpacked into a subvolume below `workplace` where it is an archive."""
    if not source.startswith(ARCHIVE):
        yield Path(source.removeprefix(DIRECTORY))
        return
    directory = workplace / "archive"
    btrfs.subvolume_create(directory)
    try:
        with opened(source.removeprefix(ARCHIVE)) as tarball:
            unpack(tarball.parts(), directory)
        yield directory
    finally:
        btrfs.subvolume_destroy(directory)


def unpack_layout(directory: Path, target: Path) -> str:
    """Its one image into the subvolume `target`. Returns what tells it from others: its manifest's digest."""
    if shutil.which("umoci") is None:
        raise AgentError("umoci is not installed, and OCI images need it", "run: apt-get install umoci")
    tag, digest = _only_image(directory)
    command = ["umoci", "raw", "unpack", "--image", f"{directory}:{tag}", str(target)]
    feed(command, (), target)
    return digest


def _only_image(directory: Path) -> tuple[str, str]:
    try:
        with (directory / "index.json").open("rb") as file:
            manifests = json.loads(file.read(INDEX_LIMIT_BYTES))["manifests"]
        found = [(m["annotations"][TAG], m["digest"].removeprefix("sha256:")) for m in manifests]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "copy it with `skopeo copy docker://IMAGE oci:DIRECTORY:TAG`"
        raise AgentError(f"{directory} is no OCI layout with a tagged image: {error!r}", hint) from error
    if len(found) != 1:
        raise AgentError(f"{directory} holds {len(found)} images", "make one with a single image in it")
    tag, digest = found[0]
    if not SHA256.fullmatch(digest):
        raise AgentError(f"{directory} names its image {digest[:80]!r}", "make it anew")
    return tag, digest
