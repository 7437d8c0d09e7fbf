"""What a version is made of (docs/reference/object-store.md). A version's name is the sha256 of these bytes.

Read from a bucket they are hostile until everything here has been checked.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hostagent.volumes.errors import ManifestInvalid

SEGMENT_RAW_BYTES = 8 << 20
# zstd's bound for what does not compress, rounded up (ZSTD_compressBound adds 1/256).
SEGMENT_STORED_LIMIT_BYTES = SEGMENT_RAW_BYTES + (SEGMENT_RAW_BYTES >> 8) + 1024
MANIFEST_LIMIT_BYTES = 16 << 20  # about 150,000 segments, 1.1 TiB

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Image(Struct, frozen=True, forbid_unknown_fields=True):
    """The platform image that a volume is laid over."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
    digest: Annotated[str, Meta(max_length=128)]


class Segment(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    sha256: Sha256  # of what is stored
    stored_bytes: Annotated[int, Meta(ge=1, le=SEGMENT_STORED_LIMIT_BYTES)]
    raw_bytes: Annotated[int, Meta(ge=1, le=SEGMENT_RAW_BYTES)]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    parent: Sha256 | None  # the version that the stream builds on
    subvolume: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
    image: Image | None
    raw_bytes: Annotated[int, Meta(ge=1, le=2**53)]
    raw_sha256: Sha256
    segments: Annotated[list[Segment], Meta(min_length=1)]
    made_at: Annotated[int, Meta(ge=0, le=2**48)]  # Unix ms

    @property
    def stored_bytes(self) -> int:
        return sum(segment.stored_bytes for segment in self.segments)


_decoder = msgspec.json.Decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """The one form that a manifest has: sorted keys, no spaces."""
    data = msgspec.json.encode(manifest, order="sorted")
    if len(data) > MANIFEST_LIMIT_BYTES:
        raise ManifestInvalid(f"a manifest of {len(data)} bytes", "the volume is too large for one version")
    return data


def name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes) -> Manifest:
    if len(data) > MANIFEST_LIMIT_BYTES:
        raise ManifestInvalid(f"{len(data)} bytes are more than a manifest has")
    try:
        manifest = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestInvalid(f"not a manifest: {error}") from error
    sizes = [segment.raw_bytes for segment in manifest.segments]
    if sum(sizes) != manifest.raw_bytes:
        raise ManifestInvalid(f"segments of {sum(sizes)} bytes in a stream of {manifest.raw_bytes}")
    if any(size != SEGMENT_RAW_BYTES for size in itertools.islice(sizes, len(sizes) - 1)):
        raise ManifestInvalid("a segment that is not the last one is short")
    if encode(manifest) != data:
        raise ManifestInvalid("not in canonical form")
    return manifest
