"""A job of the fake server: runs its script with `sh`, unless the test gives it output itself."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import threading
from dataclasses import dataclass, field
from typing import Any

CREATED_AT = "2026-11-23T07:30:00.123Z"
STREAMS = {1: "stdout", 2: "stderr", 3: "platform"}


@dataclass
class FakeJob:
    """A job: what was sent, its output as records of (stream, offset, bytes), how it ended."""

    id: str
    sent: dict[str, Any]
    status: str = "accepted"
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    records: list[tuple[int, int, bytes]] = field(default_factory=list)
    log_bytes: int = 0
    sandbox: str = "none"
    ends_slowly: bool = False  # its sandbox is there for a while when it was stopped
    revision: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)  # what a test would rather have on the wire
    process: subprocess.Popen[bytes] | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def emit(self, data: bytes, stream: int = 1) -> None:
        with self.changed:
            if self.is_final:  # what a stopped script still wrote
                return
            self.status = self.sandbox = "running"
            self.revision += 1
            self.records.append((stream, self.log_bytes, data))
            self.log_bytes += len(data)
            self.changed.notify_all()

    def finish(
        self, exit_code: int | None = 0, status: str = "completed", *, reason: str = "", message: str = ""
    ) -> None:
        with self.changed:
            if self.status in ("completed", "error"):
                return
            self.status, self.exit_code, self.reason, self.message = status, exit_code, reason, message
            self.sandbox = "running" if self.sent.get("persistent") else "none"
            self.happened("finished", exit_code=exit_code)

    def happened(self, kind: str, **detail: Any) -> None:
        """Another event, and so another revision; the caller holds `changed`."""
        self.events.append({"at": CREATED_AT, "kind": kind, "detail": detail})
        self.revision += 1
        self.changed.notify_all()

    def sleep(self) -> None:
        with self.changed:
            self.sandbox = "sleeping"
            self.happened("slept", evidence={"idle_ms": 600_000, "cpu_ms": 3, "connections": 0})

    def wake(self, cause: str) -> None:
        with self.changed:
            self.sandbox = "running"
            self.happened("woke", cause=cause, ms=12)

    def wait(self, reason: str, message: str) -> None:
        """Have it wait as accepted."""
        with self.changed:
            self.reason, self.message = reason, message

    @property
    def is_final(self) -> bool:
        return self.status in ("completed", "error")

    def as_wire(self) -> dict[str, Any]:
        is_started = self.status != "accepted"
        return {
            "request_id": self.id,
            "id": self.id,
            "name": self.sent.get("name") or "",
            "workspace_id": self.sent.get("workspace_id"),
            "base_workspace_id": self.sent.get("base_workspace_id"),
            "persistent": self.sent.get("persistent", False),
            "durable_at": None,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "exit_code": self.exit_code,
            "vm_id": "k3v9x0a1b2c3d4e5" if is_started else None,
            "host": "box" if is_started else None,
            "isolation": "container",
            "sandbox": self.sandbox,
            "revision": self.revision,
            "no_sleep": self.sent.get("no_sleep", False),
            "startup_command": self.sent.get("startup_command"),
            "created_at": CREATED_AT,
            "started_at": CREATED_AT if is_started else None,
            "finished_at": CREATED_AT if self.is_final else None,
            "script_duration_ms": 1234 if self.is_final else None,
            "timings": {"queued": 2, "assigned": 3, "started": 21} if is_started else {},
            **self.more,
        }

    def entries_from(self, offset: int) -> list[dict[str, Any]]:
        found = []
        for stream, begin, data in self.records:
            if begin + len(data) <= offset:
                continue
            for line in re.findall(rb"[^\n]*\n|[^\n]+", data[max(offset - begin, 0) :]):
                found.append(_entry(stream, max(offset, begin), line))
                offset = found[-1]["offset"] + len(line)
        return found


def _entry(stream: int, offset: int, line: bytes) -> dict[str, Any]:
    has_newline = line.endswith(b"\n")
    body = line[:-1] if has_newline else line
    message = body.decode("utf-8", "replace")
    entry: dict[str, Any] = {
        "timestamp": CREATED_AT,
        "level": "error" if stream == 2 else "info",
        "message": message,
        "stream": STREAMS[stream],
        "offset": offset,
    }
    if stream == 3:
        entry["source"] = "platform"
    if not has_newline:
        entry["partial"] = True
    if message.encode() != body:
        entry["base64"] = base64.b64encode(line).decode()
    return entry


def execute(job: FakeJob) -> None:
    job.process = subprocess.Popen(
        ["sh", "-c", job.sent["script"]],
        env={"PATH": os.environ["PATH"], **job.sent.get("environment", {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    job.emit(b"")
    with job.process as process:
        assert process.stdout is not None
        assert process.stderr is not None
        pumps = [
            threading.Thread(target=_pump, args=(job, pipe.fileno(), stream))
            for stream, pipe in ((1, process.stdout), (2, process.stderr))
        ]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        job.finish(process.wait() % 256)


def _pump(job: FakeJob, descriptor: int, stream: int) -> None:
    while data := os.read(descriptor, 65536):
        job.emit(data, stream)


def entry_length(entry: dict[str, Any]) -> int:
    if "base64" in entry:
        return len(base64.b64decode(entry["base64"]))
    return len(entry["message"].encode()) + (0 if entry.get("partial") else 1)
