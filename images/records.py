"""The commit record of a build: enough to rebuild its row."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from images.models import Build
from workspaces.manifests import Sha256, UnixMs, canonical
from workspaces.records import unix_ms

BuildName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
ImageName = Annotated[str, Meta(pattern=r"^(?!objects\Z)[a-z0-9][a-z0-9._-]{0,62}\Z")]
Size = Annotated[int, Meta(ge=0, le=2**53)]


class BuildRecord(Struct, frozen=True):
    format: Annotated[int, Meta(ge=1, le=1)]
    image: ImageName
    build: BuildName
    number: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    manifest: Sha256
    tree_bytes: Size
    made_at: UnixMs
    committed_at: UnixMs


_decoder = msgspec.json.Decoder(BuildRecord)


def record_body(build: Build) -> bytes:
    """The record of a build read with its image. The same build, the same bytes."""
    return canonical(
        {
            "format": 1,
            "image": build.image.name,
            "build": build.name,
            "number": build.number,
            "manifest": build.manifest,
            "tree_bytes": build.tree_bytes,
            "made_at": unix_ms(build.made_at),
            "committed_at": unix_ms(build.committed_at),
        }
    )


def record_of(body: bytes) -> BuildRecord:
    """Raises msgspec.DecodeError or ValidationError with what is wrong."""
    record: BuildRecord = _decoder.decode(body)
    return record
