"""Where images lie in the bucket (docs/reference/object-store.md); their objects: `workspaces.keys`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workspaces import keys

TENANT = keys.IMAGES
RESERVED = "objects"  # beside the images' records: no image has this name
PREFIX = f"{TENANT}/"
_OBJECT = re.compile(r"images/objects/([0-9a-f]{64})")
_RECORD = re.compile(r"images/([a-z0-9][a-z0-9._-]{0,62})/([0-9]{10})\.json")


@dataclass(frozen=True, slots=True)
class RecordKey:
    image: str
    number: int


def object_key(sha256: str) -> str:
    return keys.object_key(TENANT, sha256)


def record_key(image: str, number: int) -> str:
    return f"{PREFIX}{image}/{number:010d}.json"


def sha256_of(key: str) -> str | None:
    """The name of the object at this key; None where it is none of an image's."""
    found = _OBJECT.fullmatch(key)
    return found[1] if found else None


def record_of(key: str) -> RecordKey | None:
    found = _RECORD.fullmatch(key)
    return RecordKey(found[1], int(found[2])) if found and found[1] != RESERVED else None
