"""The part of the fake control plane that is about held sandboxes and their workspaces."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.agent.bucket import Bucket

COUNTER = itertools.count(1)


@dataclass
class FakeWorkspace:
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    versions: list[dict[str, Any]] = field(default_factory=list)  # what was committed, in order
    head: str | None = None
    is_saved: bool = True
    is_chain_damaged: bool = False  # then a version that builds on another one is refused
    refused: int = 0  # how often that was


@dataclass
class FakeSandbox:
    """One held sandbox as the server sees it."""

    wish: dict[str, Any]
    workspace: FakeWorkspace | None
    state: str = "offered"
    running: dict[str, Any] | None = None
    ending: dict[str, Any] | None = None  # by itself
    ended: dict[str, Any] | None = None
    sizes: list[dict[str, Any]] = field(default_factory=list)
    synced: int = 0
    naps: list[dict[str, Any]] = field(default_factory=list)  # asleep, awake, asleep ...
    startups: list[dict[str, Any]] = field(default_factory=list)  # started, exited, started ...

    @property
    def is_asleep(self) -> bool:
        return bool(self.naps) and self.naps[-1]["state"] == "asleep"

    @property
    def id(self) -> str:
        sandbox_id: str = self.wish["sandbox_id"]
        return sandbox_id

    def present(self) -> dict[str, Any]:
        """The wish in its present form."""
        workspace = self.workspace
        volume = {
            "id": workspace.id if workspace else None, "head": workspace.head if workspace else None,
            "base": self.wish["base"], "is_saved": workspace is not None and workspace.is_saved, "epoch": 1,
        }  # fmt: skip
        return {name: value for name, value in self.wish.items() if name != "base"} | {"volume": volume}


class FakeSandboxes:
    """Keeps the rules of docs/reference/host-api.md; breaches by the agent are noted in `violations`."""

    def __init__(self, violations: list[str]) -> None:
        self.all: dict[str, FakeSandbox] = {}
        self.bucket: Bucket | None = None
        self.commits_failing = 0  # so many commits are answered 503
        self.full_next = "no"  # what receipts say; "now" is insisted upon
        self._violations = violations

    def make(self, workspace: FakeWorkspace | None, **overrides: Any) -> FakeSandbox:
        wish = {
            "sandbox_id": f"held{next(COUNTER):012d}", "epoch": 1, "revision": 0, "wish": "run",
            "tenant": "u12", "image": "standard", "vcpus": 1, "memory_mb": 256, "disk_gb": 1,
            "is_kept": True, "checkpoint_s": 0, "sync": 0, "base": None,
        } | overrides  # fmt: skip
        sandbox = self.all[wish["sandbox_id"]] = FakeSandbox(wish, workspace)
        return sandbox

    def live(self) -> list[FakeSandbox]:
        return [sandbox for sandbox in self.all.values() if sandbox.state != "ended"]

    def check_boot(self, reported: Iterable[dict[str, Any]]) -> list[str]:
        """Answers those to be dropped."""
        names = {entry["sandbox_id"] for entry in reported}
        for sandbox in self.live():
            if sandbox.state == "running" and sandbox.id not in names:
                self._violations.append(f"sandbox {sandbox.id} was up and is not reported")
        return sorted(names - {sandbox.id for sandbox in self.live()})

    def item(self, item: dict[str, Any], *, are_runs_finished: bool) -> dict[str, Any]:
        sandbox = self.all.get(item["sandbox_id"])
        if sandbox is None or item["epoch"] != sandbox.wish["epoch"]:
            return {"status": 409, "code": "stale_lease"}
        if sandbox.state == "ended":
            return {"status": 200} if item == sandbox.ended else {"status": 409, "code": "stale_lease"}
        if item["type"] == "volume":
            return self._size(sandbox, item)
        if item["type"] == "startup":
            return self._startup(sandbox, item)
        if item["state"] == "running":
            sandbox.running, sandbox.state = item, "running"
            return {"status": 200}
        if item["state"] == "ending":
            sandbox.ending = item
            return {"status": 200}
        if item["state"] in ("asleep", "awake"):
            return self._nap(sandbox, item)
        if not are_runs_finished and item["reason"] != "lost":  # of those it is not known how they ended
            self._violations.append(f"sandbox {sandbox.id} ended before its runs")
        sandbox.ended, sandbox.state = item, "ended"
        return {"status": 200}

    def _nap(self, sandbox: FakeSandbox, item: dict[str, Any]) -> dict[str, Any]:
        """An agent that was killed may repeat the last one, and no other."""
        if sandbox.state != "running":
            self._violations.append(f"sandbox {sandbox.id} is {item['state']} before it is up")
        if not sandbox.naps or sandbox.naps[-1] != item:
            sandbox.naps.append(item)
        return {"status": 200}

    def _startup(self, sandbox: FakeSandbox, item: dict[str, Any]) -> dict[str, Any]:
        """Each may be repeated by a successor, and says the same then."""
        if item not in sandbox.startups:
            key = item["attempt"], item["state"]
            if key in [(known["attempt"], known["state"]) for known in sandbox.startups]:
                self._violations.append(f"sandbox {sandbox.id}: {key} of its startup command twice")
            sandbox.startups.append(item)
        return {"status": 200}

    def _size(self, sandbox: FakeSandbox, item: dict[str, Any]) -> dict[str, Any]:
        sandbox.sizes.append(item)
        if item["sync"]:
            if item["dirty"] or sandbox.workspace is None or sandbox.workspace.head is None:
                return {"status": 409, "code": "not_saved"}
            sandbox.synced = max(sandbox.synced, item["sync"])
        return {"status": 200}

    def objects(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """None: stale."""
        if self._held(body) is None or self.bucket is None:
            return None
        get = {sha256: self.bucket.sign_get(sha256) for sha256 in body["get"]}
        put = {sha256: self.bucket.sign_put(sha256, size) for sha256, size in body["put"]}
        return {"get": get, "put": put, "expires_s": 900}

    def commit(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        sandbox = self._held(body)
        if sandbox is None or sandbox.workspace is None or self.bucket is None:
            return 409, {"error": "stale", "code": "stale_lease"}
        if self.commits_failing > 0:
            self.commits_failing -= 1
            return 503, {"error": "the store is away", "code": "object_store_unavailable"}
        workspace, sha256 = sandbox.workspace, body["manifest"]
        known = [version["manifest"] for version in workspace.versions]
        if sha256 not in known:
            if body["parent"] != workspace.head:
                return 409, {"error": "moved", "code": "head_moved"}
            is_full = self._check_objects(workspace, sha256)
            if workspace.is_chain_damaged and not is_full:
                workspace.refused += 1
                return 409, {"error": "damaged", "code": "version_damaged"}
            if self.full_next == "now" and not is_full:
                return 409, {"error": "too long", "code": "chain_too_long"}
            workspace.versions.append(body | {"is_full": is_full})
            workspace.head = sha256
            known.append(sha256)
        sandbox.synced = max(sandbox.synced, body["sync"])
        receipt = {"version": known.index(sha256) + 1, "manifest": sha256, "sha256": sha256}
        return 200, receipt | {"bytes": 1, "durable_at": 1_763_881_200_000, "full_next": self.full_next}

    def _check_objects(self, workspace: FakeWorkspace, sha256: str) -> bool:
        """Whether the version is a full one."""
        assert self.bucket is not None
        data = self.bucket.get(sha256)
        manifest = json.loads(data)
        names = self.bucket.names()
        if hashlib.sha256(data).hexdigest() != sha256:
            self._violations.append(f"{sha256} is not what its name says")
        if any(segment not in names for segment, _stored, _raw in manifest["segments"]):
            self._violations.append(f"{sha256} was committed before its segments were stored")
        known = {version["manifest"] for version in workspace.versions} | {workspace.head, None}
        if manifest["parent"] not in known:
            self._violations.append(f"{sha256} builds on what is no version of its workspace")
        return manifest["parent"] is None

    def _held(self, body: dict[str, Any]) -> FakeSandbox | None:
        sandbox = self.all.get(body["sandbox_id"])
        if sandbox is None or sandbox.state == "ended" or body["epoch"] != sandbox.wish["epoch"]:
            return None
        return sandbox
