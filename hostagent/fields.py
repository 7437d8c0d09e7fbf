"""The fields that messages of the host API are made of: what a value may be."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

NAME_LIMIT_BYTES = 255  # of every Linux file system

LeaseId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Epoch = Annotated[int, Meta(ge=1, le=2**31 - 1)]
UnixMs = Annotated[int, Meta(ge=0, le=2**48)]
Size = Annotated[int, Meta(ge=0, le=2**53)]
SandboxId = Annotated[str, Meta(pattern=r"^[a-z0-9]{16}\Z")]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z", max_length=256)]
Text = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]
Revision = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Tenant = Annotated[str, Meta(pattern=r"^u[0-9]{1,20}\Z")]
ImageName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
BuildName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
Vcpus = Annotated[int, Meta(ge=1, le=1024)]
MemoryMb = Annotated[int, Meta(ge=1, le=2**24)]
DiskGb = Annotated[int, Meta(ge=1, le=2**20)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
FileName = Annotated[str, Meta(pattern=r"^[^/\x00-\x1f\x7f]+\Z", max_length=255)]
Url = Annotated[str, Meta(pattern=r"^https?://[\x21-\x7e]+\Z", max_length=8192)]


class Stages(Struct, frozen=True):
    """Milliseconds that a start took: on its way to us, for the root file system, for the rest."""

    assigned: int
    restored: int
    started: int
