"""Workspaces and uploads of the fake server: trees in memory, uploads as name, size and hash."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any

MADE_AT = "2026-11-23T07:30:00.123Z"
PIECE_BYTES = 64 * 1024


@dataclass
class FakeVersion:
    number: int
    tree: dict[str, str]
    reason: str
    more: dict[str, Any] = field(default_factory=dict)  # what a test would rather have on the wire

    def as_wire(self) -> dict[str, Any]:
        size = sum(map(len, self.tree.values()))
        return {
            "version": self.number,
            "sha256": hashlib.sha256(repr((self.number, self.tree)).encode()).hexdigest(),
            "is_head": True,
            "reason": self.reason,
            "size_bytes": size,
            "stored_bytes": size + 500,
            "made_at": MADE_AT,
            "durable_at": MADE_AT,
            "is_damaged": False,
            **self.more,
        }


@dataclass
class FakeWorkspace:
    """`live` is what its sandbox sees, path to content; each version is a copy of that."""

    name: str
    live: dict[str, str] = field(default_factory=dict)
    versions: list[FakeVersion] = field(default_factory=list)
    disk_gb: int = 2
    more: dict[str, Any] = field(default_factory=dict)

    def save(self, reason: str = "sync") -> FakeVersion:
        self.versions.append(FakeVersion(len(self.versions) + 1, dict(self.live), reason))
        return self.versions[-1]

    def version(self, number: int) -> FakeVersion | None:
        return self.versions[number - 1] if 0 < number <= len(self.versions) else None

    def as_wire(self) -> dict[str, Any]:
        head = self.versions[-1] if self.versions else None
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name)),
            "workspace_id": self.name,
            "name": self.name,
            "size_bytes": head.as_wire()["size_bytes"] if head else None,
            "stored_bytes": sum(version.as_wire()["stored_bytes"] for version in self.versions),
            "version": head.number if head else None,
            "versions": len(self.versions),
            "durable_at": MADE_AT if head else None,
            "disk_gb": self.disk_gb,
            "image": "standard",
            "is_saved": head is not None,
            "damaged": None,
            "host": "box",
            "active_job": None,
            "created_at": MADE_AT,
            "used_at": MADE_AT,
            **self.more,
        }


def difference(old: FakeVersion, new: FakeVersion) -> dict[str, Any]:
    both = old.tree.keys() & new.tree.keys()
    kinds = {
        "added": sorted(new.tree.keys() - old.tree.keys()),
        "changed": sorted(path for path in both if old.tree[path] != new.tree[path]),
        "removed": sorted(old.tree.keys() - new.tree.keys()),
    }
    totals = {name: len(paths) for name, paths in kinds.items()}
    return {"from": old.number, "to": new.number, **kinds, "totals": totals, "truncated": False}


def receive(body: BufferedIOBase, length: int, content_type: str) -> dict[str, Any] | None:
    """The one part of a multipart body, hashed as it comes; None when the client hung up."""
    boundary = content_type.partition("boundary=")[2].encode()
    tail = b"\r\n--" + boundary + b"--\r\n"
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = body.readline(PIECE_BYTES)
        if not line:
            return None
        head += line
    assert head.startswith(b"--" + boundary + b"\r\n")
    found = re.search(rb'form-data; name="file"; filename="((?:[^"\\]|\\.)*)"\r\n', head)
    assert found
    size = left = length - len(head) - len(tail)
    digest = hashlib.sha256()
    while left:
        piece = body.read(min(left, PIECE_BYTES))
        if not piece:
            return None
        digest.update(piece)
        left -= len(piece)
    if body.read(len(tail)) != tail:
        return None
    return {
        "file_id": str(uuid.uuid4()),
        "name": re.sub(rb"\\(.)", rb"\1", found[1]).decode(),
        "size": size,
        "sha256": digest.hexdigest(),
        "created_at": MADE_AT,
        "expires_at": "2026-11-30T07:30:00.123Z",
    }
