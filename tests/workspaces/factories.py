"""Snapshots without btrfs: streams of random bytes, put and committed as a host does."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import zstandard
from django.utils import timezone

from accounts.models import User
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase
from tests.jobs.factories import Agent, user
from workspaces import keys, objectstore
from workspaces.limits import SEGMENT_RAW_BYTES
from workspaces.models import Version, Workspace
from workspaces.services import Commit, Hold, version_commit, workspace_release, workspace_take
from workspaces.states import VersionReason

_count = itertools.count(1)
__all__ = ["Agent", "Snapshot", "commit_of", "hold_on", "put", "sandbox", "saved", "snapshot", "user"]


@dataclass(frozen=True)
class Snapshot:
    """A version that a host has made: its manifest and the objects that this one names."""

    manifest: bytes
    segments: dict[str, bytes] = field(default_factory=dict)
    parent: str | None = None  # of the stream

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def objects(self) -> dict[str, bytes]:
        return {**self.segments, self.sha256: self.manifest}


def snapshot(stream: bytes | None = None, parent: str | None = None, **changes: Any) -> Snapshot:
    """`changes` go into the manifest, however wrong they are."""
    stream = os.urandom(1000) if stream is None else stream
    segments, listed = {}, []
    for start in range(0, len(stream), SEGMENT_RAW_BYTES):
        raw = stream[start : start + SEGMENT_RAW_BYTES]
        packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(raw)
        name = hashlib.sha256(packed).hexdigest()
        segments[name] = packed
        listed.append([name, len(packed), len(raw)])
    manifest = {
        "format": 1, "parent": parent, "subvolume": str(uuid.uuid4()), "image": None,
        "raw_bytes": len(stream), "raw_sha256": hashlib.sha256(stream).hexdigest(), "segments": listed,
        "made_at": int(time.time() * 1000),
    } | changes  # fmt: skip
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Snapshot(text.encode(), segments, parent)


def put(owner: User, made: Snapshot, *, without: str = "") -> None:
    """Put the snapshot's objects, but for one."""
    for name, body in made.objects.items():
        if name != without:
            objectstore.put_new(keys.object_key(keys.tenant(owner.pk), name), body)


def hold_on(owner: User, name: str = "w") -> Hold:
    """A new sandbox takes the workspace."""
    taken = workspace_take(owner, name, sandbox_id(), is_saved=True, disk_gb=2)
    return Hold(taken.pk, taken.holder, taken.epoch)


def sandbox_id() -> str:
    return f"{next(_count):016d}"


def commit_of(made: Snapshot, parent: str | None = None, made_at: datetime | None = None) -> Commit:
    return Commit(made.sha256, parent, VersionReason.SYNC, made_at or timezone.now(), 1234)


def saved(owner: User, name: str = "w", versions: int = 1, *, is_chain: bool = True) -> list[Version]:
    """A free workspace with so many versions, each a stream on the one before or all full ones."""
    hold = hold_on(owner, name)
    found: list[Version] = []
    for _ in range(versions):
        parent = found[-1].manifest if found else None
        made = snapshot(parent=parent if is_chain else None)
        put(owner, made)
        found.append(version_commit(hold, commit_of(made, parent)))
    workspace_release(hold)
    return found


def sandbox(agent: Agent, owner: User, name: str | None = "w", **fields: Any) -> Sandbox:
    """A running sandbox on the agent's host that holds the workspace of this name."""
    workspace: Workspace | None = None
    made = sandbox_id()
    if name is not None:
        workspace = workspace_take(owner, name, made, is_saved=True, disk_gb=2)
    values = {
        "owner": owner, "host": agent.host, "workspace": workspace, "state": SandboxPhase.RUNNING,
        "epoch": workspace.epoch if workspace else 1, "memory_mb": 512, "vcpus": 1, "disk_gb": 2,
    } | fields  # fmt: skip
    return Sandbox.objects.create(pk=made, **values)


def request(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
    """(status, body) of a plain HTTP request, as a host sends it to a signed address."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body or None, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
