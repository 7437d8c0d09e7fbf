"""What hosts send about a sandbox's data, checked field by field."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from core.errors import Invalid
from workspaces.hostapi.messages import QuestionId
from workspaces.limits import OBJECT_LIMIT_BYTES, SIGN_LIMIT
from workspaces.manifests import Sha256, UnixMs

T = TypeVar("T")
Epoch = Annotated[int, Meta(ge=1, le=2**31 - 1)]
SandboxId = Annotated[str, Meta(pattern=r"^[a-z0-9]{16}\Z")]
Size = Annotated[int, Meta(ge=0, le=2**53)]
ObjectSize = Annotated[int, Meta(ge=1, le=OBJECT_LIMIT_BYTES)]


class ObjectsRequest(Struct, frozen=True):
    """Addresses wanted: to read objects, and to put [name, bytes]."""

    boot_epoch: Epoch
    sandbox_id: SandboxId
    epoch: Epoch
    get: Annotated[list[Sha256], Meta(max_length=SIGN_LIMIT)] = msgspec.field(default_factory=list)
    put: Annotated[list[tuple[Sha256, ObjectSize]], Meta(max_length=SIGN_LIMIT)] = msgspec.field(
        default_factory=list
    )


class ReadRequest(Struct, frozen=True):
    """Addresses to read objects, wanted for a question."""

    boot_epoch: Epoch
    question: QuestionId
    get: Annotated[list[Sha256], Meta(max_length=SIGN_LIMIT)]


class _Purpose(Struct, frozen=True):
    question: QuestionId | None = None


class VersionRequest(Struct, frozen=True):
    """A snapshot whose objects are all put."""

    boot_epoch: Epoch
    sandbox_id: SandboxId
    epoch: Epoch
    manifest: Sha256
    parent: Sha256 | None
    reason: Literal["sync", "checkpoint", "stop", "end", "import"]
    made_at: UnixMs
    tree_bytes: Size
    sync: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


_purpose = msgspec.json.Decoder(_Purpose)
_objects = msgspec.json.Decoder(ObjectsRequest)
_read = msgspec.json.Decoder(ReadRequest)
_version = msgspec.json.Decoder(VersionRequest)


def objects_of(body: bytes) -> ObjectsRequest | ReadRequest:
    if _decoded(_purpose, body).question is not None:
        return _decoded(_read, body)
    return _decoded(_objects, body)


def version_of(body: bytes) -> VersionRequest:
    return _decoded(_version, body)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(str(error)) from error
