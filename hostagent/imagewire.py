"""Messages about images (docs/reference/host-api.md), checked field by field."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from hostagent.fields import BuildName, ImageName, Sha256, UnixMs


class Build(Struct, frozen=True):
    """A build that is published."""

    image: ImageName
    build: BuildName
    manifest: Sha256
    made_at: UnixMs


class ImageObjectsRequest(Struct, frozen=True):
    get: Sequence[str]
    put: Sequence[tuple[str, int]]


class PublishRequest(Struct, frozen=True):
    """A build whose objects are all in the bucket."""

    image: str
    build: str
    manifest: str
    made_at: int
    tree_bytes: int
