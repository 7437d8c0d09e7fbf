"""A control plane in memory, over real HTTP. It keeps the contract of docs/reference/host-api.md and notes
every breach of it by the agent in `violations`; it can be away, fail, or lose its replies."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import socket
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests import accepting
from tests.agent.fake_sandboxes import FakeSandbox, FakeSandboxes, FakeWorkspace

KEY = "magshost_0123456789abcdef"
TOKEN = "enrol-me"
LEASE_COUNTER = itertools.count(1)


@dataclass
class FakeLease:
    """One lease as the server sees it."""

    assignment: dict[str, Any]
    state: str = "offered"
    log: bytearray = field(default_factory=bytearray)
    records: list[list[int]] = field(default_factory=list)
    started: dict[str, Any] | None = None
    finished: dict[str, Any] | None = None

    @property
    def id(self) -> int:
        lease_id: int = self.assignment["lease_id"]
        return lease_id

    @property
    def sandbox_id(self) -> str:
        sandbox_id: str = self.assignment["sandbox_id"]
        return sandbox_id

    @property
    def text(self) -> str:
        return self.log.decode()

    def by_stream(self, stream: int) -> bytes:
        parts, position = [], 0
        for _, of, length in self.records:
            if of == stream:
                parts.append(bytes(self.log[position : position + length]))
            position += length
        return b"".join(parts)


class FakeControlPlane:
    def __init__(self) -> None:
        self.leases: dict[int, FakeLease] = {}
        self.violations: list[str] = []
        self.held = FakeSandboxes(self.violations)
        self.deleted: list[str] = []  # workspaces
        self.questions: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.boot_epoch = 0
        self.boots: list[dict[str, Any]] = []
        self.beats: list[dict[str, Any]] = []
        self.ticket_keys: dict[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.largest_report = 0
        self.failing: Counter[str] = Counter()  # path -> how many calls answer 500
        self.losing: Counter[str] = (
            Counter()
        )  # path -> how many replies get lost, after the call was carried out
        self.repeats = False  # polls tell everything live again and again
        self.changed = asyncio.Condition()
        self._revision = 0
        self._reporting = 0
        self._port = 0
        self._runner: web.AppRunner | None = None

    # --- being there or not ---------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=16 << 20, middlewares=[self._trouble])
        app.router.add_post("/api/host/v1/enrol", self._enrol)
        app.router.add_post("/api/host/v1/boot", self._boot)
        app.router.add_get("/api/host/v1/poll", self._poll)
        app.router.add_post("/api/host/v1/heartbeat", self._heartbeat)
        app.router.add_post("/api/host/v1/report", self._report)
        app.router.add_post("/api/host/v1/objects", self._objects)
        app.router.add_post("/api/host/v1/versions", self._versions)
        app.router.add_post("/api/host/v1/answers", self._answers)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await self._runner.setup()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await accepting.end(self._runner)
            self._runner = None

    @web.middleware
    async def _trouble(self, request: web.Request, handler: Any) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        self.requests[name] += 1
        if self.failing[name] > 0:
            self.failing[name] -= 1
            return web.json_response({"error": "broken on purpose", "code": "internal"}, status=500)
        if name != "enrol" and request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": "unknown key", "code": "bad_host_key"}, status=401)
        response: web.StreamResponse = await handler(request)
        if self.losing[name] > 0:
            self.losing[name] -= 1
            if request.transport is not None:
                request.transport.abort()
        return response

    # --- what a test does -----------------------------------------------------------------

    async def submit(self, script: str, /, **overrides: Any) -> FakeLease:
        number = next(LEASE_COUNTER)
        assignment = {
            "lease_id": number, "lease_epoch": 1, "wish": "run", "sandbox_id": _sandbox_id(number),
            "job_id": f"00000000-0000-4000-8000-{number:012d}", "tenant": "u12", "name": "test",
            "script": script, "environment": {}, "image": "standard", "vcpus": 1, "memory_mb": 64,
            "disk_gb": 1, "timeout_s": None, "log_offset": 0, "assigned_at": 1_763_881_200_000,
        } | overrides  # fmt: skip
        lease = FakeLease(assignment)
        lease.log += b"x" * assignment["log_offset"]
        self.leases[lease.id] = lease
        await self._touch(lease)
        return lease

    async def wish_stop(self, lease: FakeLease) -> None:
        lease.assignment["wish"] = "stop"
        await self._touch(lease)

    async def end(self, lease: FakeLease) -> None:
        """The server gives the lease up by itself."""
        lease.state = "ended"
        await self._touch(lease)

    async def hold(self, workspace: FakeWorkspace | None = None, **overrides: Any) -> FakeSandbox:
        """A held sandbox; without a workspace, one with a scratch volume."""
        return await self.wish(self.held.make(workspace, **overrides))

    async def wish(self, sandbox: FakeSandbox, **changes: Any) -> FakeSandbox:
        self._revision += 1
        sandbox.wish |= {**changes, "revision": self._revision}
        await self._tell()
        return sandbox

    async def run(self, sandbox: FakeSandbox, script: str, /, **overrides: Any) -> FakeLease:
        """A script in a held sandbox."""
        return await self.submit(script, sandbox_id=sandbox.id, in_sandbox=True, **overrides)

    async def give_away(self, sandbox: FakeSandbox) -> None:
        """The server ends the sandbox and its runs by itself, as it does when a host is silent for long."""
        sandbox.state = "ended"
        for lease in self.leases.values():
            if lease.assignment.get("in_sandbox") and lease.sandbox_id == sandbox.id:
                await self.end(lease)
        await self.wish(sandbox)

    async def delete_workspace(self, workspace: FakeWorkspace) -> None:
        self._revision += 1
        self.deleted.append(workspace.id)
        await self._tell()

    async def ask(self, question: dict[str, Any]) -> None:
        """Of the agent that has booted; the next life of it is not asked."""
        await self.wait(lambda: self.beats)
        self._revision += 1
        self.questions.append(question | {"revision": self._revision})
        await self._tell()

    async def answer(self, question: int) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [said["answer"] for said in self.answers if said["question"] == question]

        await self.wait(found)
        return found()[0]

    async def ended(self, sandbox: FakeSandbox, timeout_s: float = 60) -> dict[str, Any]:
        await self.wait(lambda: sandbox.ended is not None, timeout_s)
        assert sandbox.ended is not None
        return sandbox.ended

    async def synced(self, sandbox: FakeSandbox) -> None:
        """Ask for a sync and wait for its answer."""
        number = sandbox.wish["sync"] + 1
        await self.wish(sandbox, sync=number)
        await self.wait(lambda: sandbox.synced >= number)

    async def wait(self, condition: Callable[[], object], timeout_s: float = 30) -> None:
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(condition)

    async def finished(self, lease: FakeLease, timeout_s: float = 60) -> dict[str, Any]:
        await self.wait(lambda: lease.finished is not None, timeout_s)
        assert lease.finished is not None
        return lease.finished

    async def _touch(self, lease: FakeLease) -> None:
        self._revision += 1
        lease.assignment["revision"] = self._revision
        await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    # --- the API --------------------------------------------------------------------------

    async def _enrol(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["token"] != TOKEN:
            return web.json_response({"error": "The token is not valid.", "code": "bad_token"}, status=403)
        return web.json_response({"host_id": "a-host", "key": KEY}, status=201)

    async def _boot(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.boots.append(body)
        self.boot_epoch += 1
        reported = {(entry["lease_id"], entry["lease_epoch"]) for entry in body["leases"]}
        live = {lease.id: lease for lease in self.leases.values() if lease.state != "ended"}
        for lease in live.values():
            if (lease.id, 1) not in reported and lease.state == "started":
                self.violations.append(f"lease {lease.id} was started and is not reported")
        drop = [lease_id for lease_id, _ in reported if lease_id not in live]
        drop_sandboxes = self.held.check_boot(body["sandboxes"])
        await self._tell()
        return web.json_response({
            "boot_epoch": self.boot_epoch, "revision": self._revision, "heartbeat_s": 0.2, "lease_s": 60,
            "assignments": [lease.assignment for lease in live.values()], "drop": drop,
            "sandboxes": [sandbox.present() for sandbox in self.held.live()],
            "drop_sandboxes": drop_sandboxes, "drop_volumes": self.deleted, "ticket_keys": self.ticket_keys,
        })  # fmt: skip

    async def _poll(self, request: web.Request) -> web.Response:
        epoch, after = int(request.query["boot_epoch"]), int(request.query["after"])
        try:
            async with asyncio.timeout(0.2 if self.repeats else float(request.query["wait"])), self.changed:
                await self.changed.wait_for(lambda: self._revision > after or epoch != self.boot_epoch)
        except TimeoutError:
            pass
        if epoch != self.boot_epoch:
            return _stale_boot()
        told = [lease for lease in self.leases.values()
                if self.repeats or lease.assignment["revision"] > after]  # fmt: skip
        held = [one for one in self.held.all.values() if self.repeats or one.wish["revision"] > after]
        return web.json_response({
            "revision": self._revision,
            "assignments": [lease.assignment for lease in told if lease.state != "ended"],
            "drop": [lease.id for lease in told if lease.state == "ended"],
            "sandboxes": [one.present() for one in held if one.state != "ended"],
            "drop_sandboxes": [one.id for one in held if one.state == "ended"],
            "drop_volumes": self.deleted,
            "questions": [one for one in self.questions if self.repeats or one["revision"] > after],
        })  # fmt: skip

    async def _heartbeat(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["boot_epoch"] != self.boot_epoch:
            return _stale_boot()
        self.beats.append(body)
        await self._tell()
        return web.json_response({"draining": body["draining"], "ticket_keys": self.ticket_keys})

    async def _report(self, request: web.Request) -> web.Response:
        self._reporting += 1
        if self._reporting > 1:
            self.violations.append("two reports at once")
        try:
            raw = await request.read()
            self.largest_report = max(self.largest_report, len(raw))
            body = json.loads(raw)
            if body["boot_epoch"] != self.boot_epoch:
                return _stale_boot()
            results = [self._item(item) for item in body["items"]]
        finally:
            self._reporting -= 1
        await self._tell()
        return web.json_response({"results": results})

    async def _objects(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["boot_epoch"] != self.boot_epoch:
            return _stale_boot()
        answer = self.held.objects(body)
        if answer is None:
            return web.json_response({"error": "stale", "code": "stale_lease"}, status=409)
        return web.json_response(answer)

    async def _versions(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["boot_epoch"] != self.boot_epoch:
            return _stale_boot()
        status, answer = self.held.commit(body)
        await self._tell()
        return web.json_response(answer, status=status)

    async def _answers(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["boot_epoch"] != self.boot_epoch:
            return _stale_boot()
        self.answers.append(body)
        await self._tell()
        return web.json_response({})

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["type"] in ("sandbox", "volume", "startup"):
            return self.held.item(item, are_runs_finished=not self._live_runs(item["sandbox_id"]))
        lease = self.leases.get(item["lease_id"])
        if lease is None or item["lease_epoch"] != lease.assignment["lease_epoch"]:
            return {"status": 409, "code": "stale_lease"}
        if lease.state == "ended":
            is_repeated = item["type"] == "finished" and item == lease.finished
            return {"status": 200} if is_repeated else {"status": 409, "code": "stale_lease"}
        handle = {"started": self._started, "log": self._log, "finished": self._finished}[item["type"]]
        return handle(lease, item)

    def _live_runs(self, sandbox_id: str) -> list[FakeLease]:
        runs = [one for one in self.leases.values() if one.assignment.get("in_sandbox")]
        return [one for one in runs if one.sandbox_id == sandbox_id and one.state != "ended"]

    def _started(self, lease: FakeLease, item: dict[str, Any]) -> dict[str, Any]:
        if lease.started is not None and lease.started["at"] != item["at"]:
            self.violations.append(f"lease {lease.id} was started twice")
        if set(item["stages"]) != {"assigned", "restored", "started"}:
            self.violations.append(f"stages are {item['stages']}")
        if lease.assignment.get("in_sandbox") and self.held.all[lease.sandbox_id].state == "offered":
            self.violations.append(f"lease {lease.id} was started before its sandbox")
        lease.started, lease.state = item, "started"
        return {"status": 200}

    def _log(self, lease: FakeLease, item: dict[str, Any]) -> dict[str, Any]:
        data = base64.b64decode(item["data"], validate=True)
        lengths = [length for _, _, length in item["records"]]
        if item["offset"] != len(lease.log):
            return {"status": 409, "code": "offset", "expected": len(lease.log)}
        if (
            sum(lengths) != len(data)
            or not data
            or min(lengths) < 1
            or max(lengths) > 65_536
            or len(data) > 1 << 20
        ):
            self.violations.append(f"lease {lease.id}: a malformed log item")
        lease.log += data
        lease.records += item["records"]
        return {"status": 200}

    def _finished(self, lease: FakeLease, item: dict[str, Any]) -> dict[str, Any]:
        if item["log_bytes"] != len(lease.log):
            return {"status": 409, "code": "offset", "expected": len(lease.log)}
        if lease.started is None and item["outcome"] not in ("start_failed", "stopped", "lost"):
            self.violations.append(f"lease {lease.id} finished before it started")
        lease.finished, lease.state = item, "ended"
        return {"status": 200}


def _stale_boot() -> web.Response:
    return web.json_response({"error": "A newer agent has booted.", "code": "stale_boot"}, status=409)


def _sandbox_id(number: int) -> str:
    digits = string.digits + string.ascii_lowercase
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text.rjust(16, "0")
