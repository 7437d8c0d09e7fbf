"""`hostagent image import`: a root file system that somebody else made becomes an image on this host."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hostagent.drivers import builds
from hostagent.errors import AgentError
from hostagent.images import oci
from hostagent.images.finish import finish
from hostagent.images.recipe import RECIPES
from hostagent.images.source import opened
from hostagent.images.store import fresh, publish
from hostagent.images.unpack import unpack
from hostagent.linux import btrfs

RESERVED = "objects"  # beside the images' records in the bucket
DIGEST_LENGTH = 12


def import_image(images: Path, name: str, source: str, *, limit_bytes: int) -> str:
    """Import a tarball (plain, gzip or zstd; `-`: standard input) or an OCI layout as the image `name`.
    Returns the build. The same bytes again change nothing."""
    _require_name(name)
    with fresh(images) as work:
        btrfs.qgroup_limit(work, limit_bytes)
        digest = _unpack(source, work)[:DIGEST_LENGTH]
        present = builds.build_of(images / name)
        if present.startswith(f"{name}-{digest}-"):
            return present
        build = f"{name}-{digest}-{datetime.now(UTC):%Y%m%d%H%M%S}"
        finish(work, build)
        publish(work, images / name)
        return build


def _require_name(name: str) -> None:
    if not builds.NAME.fullmatch(name) or name == RESERVED:
        raise AgentError(
            f"{name!r} is no name for an image",
            "use 1 to 63 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit",
        )
    if name in RECIPES:
        raise AgentError(
            f"{name} is built by `hostagent image build`, which would replace this one", "choose another name"
        )


def _unpack(source: str, work: Path) -> str:
    """The tree into `work`. Returns what tells it from others."""
    if oci.is_oci(source):
        with oci.layout(source, work.parent) as directory:
            return oci.unpack_layout(directory, work)
    with opened(source) as tarball:
        unpack(tarball.parts(), work)
        return tarball.sha256
