"""What hosts send about images, checked field by field."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from core.errors import Invalid
from images.records import BuildName, ImageName, Size
from workspaces.limits import OBJECT_LIMIT_BYTES, SIGN_LIMIT
from workspaces.manifests import Sha256, UnixMs

T = TypeVar("T")
ObjectSize = Annotated[int, Meta(ge=1, le=OBJECT_LIMIT_BYTES)]


class ObjectsRequest(Struct, frozen=True):
    """Addresses wanted: to read objects of images, and to put [name, bytes]."""

    get: Annotated[list[Sha256], Meta(max_length=SIGN_LIMIT)] = field(default_factory=list)
    put: Annotated[list[tuple[Sha256, ObjectSize]], Meta(max_length=SIGN_LIMIT)] = field(default_factory=list)


class BuildQuery(Struct, frozen=True):
    """Which build is asked about."""

    image: ImageName
    build: BuildName


class PublishRequest(Struct, frozen=True):
    """A build whose objects are all put."""

    image: ImageName
    build: BuildName
    manifest: Sha256
    made_at: UnixMs
    tree_bytes: Size


_objects = msgspec.json.Decoder(ObjectsRequest)
_publish = msgspec.json.Decoder(PublishRequest)


def objects_of(body: bytes) -> ObjectsRequest:
    return _decoded(_objects, body)


def publish_of(body: bytes) -> PublishRequest:
    return _decoded(_publish, body)


def query_of(query: dict[str, str]) -> BuildQuery:
    try:
        return msgspec.convert(query, BuildQuery)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(str(error)) from error
