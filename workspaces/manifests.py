"""The manifest: what a version consists of. Its SHA-256 is the version's identity."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from workspaces.errors import BadManifest
from workspaces.limits import MANIFEST_LIMIT_BYTES, SEGMENT_LIMIT_BYTES, SEGMENT_RAW_BYTES

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
UnixMs = Annotated[int, Meta(ge=0, lt=253_402_300_800_000)]  # below the year 10000
Segment = tuple[
    Sha256,
    Annotated[int, Meta(ge=1, le=SEGMENT_LIMIT_BYTES)],  # compressed, as it lies in the bucket
    Annotated[int, Meta(ge=1, le=SEGMENT_RAW_BYTES)],
]


class ImageName(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
    digest: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]  # names the build


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """One `btrfs send` stream, in pieces that are compressed one by one."""

    format: Annotated[int, Meta(ge=1, le=1)]
    parent: Sha256 | None  # the manifest whose stream this one continues
    subvolume: Annotated[
        str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
    ]
    image: ImageName | None
    raw_bytes: Annotated[int, Meta(ge=1, le=2**53)]
    raw_sha256: Sha256
    segments: Annotated[list[Segment], Meta(min_length=1)]
    made_at: UnixMs

    @property
    def objects(self) -> dict[str, int]:
        """{SHA-256: compressed bytes} of the segments; equal pieces are one object."""
        return {sha256: size for sha256, size, _ in self.segments}


_decoder = msgspec.json.Decoder(Manifest)


def manifest_of(body: bytes, sha256: str) -> Manifest:
    """What the bytes say, once they are known to be the manifest of this name and to make sense."""
    if len(body) > MANIFEST_LIMIT_BYTES:
        raise BadManifest(f"The manifest is over {MANIFEST_LIMIT_BYTES} bytes.")
    if hashlib.sha256(body).hexdigest() != sha256:
        raise BadManifest("The manifest is not what its name says.")
    try:
        manifest = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadManifest(str(error)) from error
    _check(manifest)
    if canonical(json.loads(body)) != body:
        raise BadManifest("The manifest is not in canonical form.")
    return manifest


def canonical(value: object) -> bytes:
    """The one way in which we write JSON into the bucket."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(manifest: Manifest) -> None:
    *whole, last = manifest.segments
    if any(raw != SEGMENT_RAW_BYTES for _, _, raw in whole):
        raise BadManifest(f"Every segment but the last one holds {SEGMENT_RAW_BYTES} bytes.")
    if len(whole) * SEGMENT_RAW_BYTES + last[2] != manifest.raw_bytes:
        raise BadManifest("The segments do not add up to raw_bytes.")
    if any(manifest.objects[sha256] != size for sha256, size, _ in manifest.segments):
        raise BadManifest("A segment is named with two sizes.")
