"""A small Mags server over real HTTP: it runs the scripts it is sent, and misbehaves on request."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from fake_job import FakeJob, entry_length, execute

TOKEN = "mags_test-token"
TOKEN_ROW = {"id": 1, "name": "laptop", "prefix": "mags_abcd", "token": "mags_abcdef", "expires_at": None}


class FakeServer(ThreadingHTTPServer):
    """Runs scripts with `sh` at once. `runs_scripts = False` leaves that to the test."""

    daemon_threads = True
    block_on_close = False
    runs_scripts: bool = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs: dict[str, FakeJob] = {}
        self.keys: dict[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.paths: list[str] = []
        self.headers_seen: list[dict[str, str]] = []
        self.connections = 0
        self.submitted = threading.Condition()
        # Misbehaviour: each entry is used up by one request whose "METHOD path" it matches.
        self.troubles: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def trouble(self, pattern: str, kind: str, times: int = 1, **details: Any) -> None:
        """Answer the next `times` matching requests with `kind`: a status, `drop`, `cut` or `raw`."""
        self.troubles += [(pattern, kind, details)] * times

    def next_job(self) -> FakeJob:
        """The newest job, waited for."""
        with self.submitted:
            assert self.submitted.wait_for(lambda: bool(self.jobs), timeout=20)
            return list(self.jobs.values())[-1]

    def find(self, ref: str) -> FakeJob | None:
        named = [job for job in reversed(self.jobs.values()) if job.sent.get("name") == ref]
        return self.jobs.get(ref) or (named[0] if named else None)

    def submit(self, sent: dict[str, Any], key: str) -> FakeJob:
        with self.submitted:
            if key in self.keys:
                return self.jobs[self.keys[key]]
            job = FakeJob(str(uuid.uuid4()), sent)
            self.jobs[job.id] = job
            self.keys[key or job.id] = job.id
            self.submitted.notify_all()
        if self.runs_scripts:
            threading.Thread(target=execute, args=(job,), daemon=True).start()
        return job

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or an answer in two writes waits 40 ms for the client's ACK
    server: FakeServer
    ROUTES: ClassVar = (
        ("POST", r"/mags-jobs", "submit"),
        ("GET", r"/mags-jobs", "list_jobs"),
        ("GET", r"/mags-jobs/([^/]+)", "job"),
        ("PATCH", r"/mags-jobs/([^/]+)", "rename"),
        ("GET", r"/mags-jobs/([^/]+)/status", "job"),
        ("GET", r"/mags-jobs/([^/]+)/logs", "logs"),
        ("POST", r"/mags-jobs/([^/]+)/stop", "stop"),
        ("GET", r"/auth/me", "me"),
        ("GET", r"/auth/tokens", "tokens"),
        ("POST", r"/auth/tokens", "new_token"),
        ("DELETE", r"/auth/tokens/1", "revoke_token"),
    )

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        parts = urlsplit(self.path)
        self.query = dict(parse_qsl(parts.query))
        name = f"{self.command} {parts.path}"
        self.server.requests[name] += 1
        self.server.paths.append(f"{self.command} {self.path}")
        self.server.headers_seen.append({key.lower(): value for key, value in self.headers.items()})
        for trouble in self.server.troubles:
            if re.search(trouble[0], name):
                self.server.troubles.remove(trouble)
                self.misbehave(*trouble[1:])
                return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.fail(401, "bad_token", "This token is not known.", "Make a new one on the dashboard.")
            return
        self.route(parts.path)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

    def route(self, path: str) -> None:
        for method, pattern, name in self.ROUTES:
            found = re.fullmatch("/api/v1" + pattern, path)
            if not found or method != self.command:
                continue
            if not found.groups():
                getattr(self, name)()
                return
            job = self.server.find(unquote(found[1]))
            if job:
                getattr(self, name)(job)
                return
        self.fail(404, "not_found", "There is no such thing here.", "Check the name or id.")

    def misbehave(self, kind: str, details: dict[str, Any]) -> None:
        if kind == "drop":  # the request was read, no answer comes
            self.close_connection = True
            return
        if kind == "cut":  # the request takes effect, but half the answer is lost
            self.is_cut = True
            self.route(urlsplit(self.path).path)
            return
        headers = details.get("headers", {})
        body = details.get("body", json.dumps({"error": "not now", "code": "busy", "request_id": "req-1"}))
        self.send(int(kind), body.encode(), headers)

    is_cut = False

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.is_cut else body)
        if self.is_cut:
            self.close_connection = True

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        self.send(status, json.dumps(body).encode())

    def fail(self, status: int, code: str, error: str, remediation: str, **more: Any) -> None:
        self.answer(
            {"error": error, "code": code, "remediation": remediation, "request_id": "req-1", **more}, status
        )

    def submit(self) -> None:
        job = self.server.submit(json.loads(self.body), self.headers.get("Idempotency-Key", ""))
        self.answer({"request_id": job.id, "status": "accepted", "message": "The job was accepted."}, 202)

    def list_jobs(self) -> None:
        page, size = int(self.query.get("page", 1)), int(self.query.get("page_size", 20))
        jobs = [job.as_wire() for job in reversed(self.server.jobs.values())]
        if "status" in self.query:
            jobs = [job for job in jobs if job["status"] == self.query["status"]]
        shown = jobs[(page - 1) * size : page * size]
        self.answer({"jobs": shown, "total": len(jobs), "page": page, "page_size": size})

    def job(self, job: FakeJob) -> None:
        self.answer(job.as_wire())

    def rename(self, job: FakeJob) -> None:
        job.sent["name"] = json.loads(self.body)["name"]
        self.answer(job.as_wire())

    def logs(self, job: FakeJob) -> None:
        offset = int(self.query.get("offset", 0))
        deadline = time.monotonic() + float(self.query.get("wait", 0))
        with job.changed:
            while not (job.log_bytes > offset or job.is_final):
                if not job.changed.wait(max(deadline - time.monotonic(), 0)):
                    break
            entries = job.entries_from(offset)[: int(self.query.get("limit", 1000))]
            last = entries[-1] if entries else None
            following = last["offset"] + entry_length(last) if last else offset
            is_all = job.is_final and following >= job.log_bytes
            end = {
                "status": job.status,
                "reason": job.reason,
                "exit_code": job.exit_code,
            }
        self.answer(
            {
                "logs": entries,
                "next_offset": following,
                "truncated_bytes": 0,
                "expired": False,
                "end": end if is_all else None,
            }
        )

    def stop(self, job: FakeJob) -> None:
        job.finish(143, reason="stopped")
        if job.process and job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)
        self.answer({"request_id": job.id, "status": job.status})

    def tokens(self) -> None:
        listed = {name: value for name, value in TOKEN_ROW.items() if name != "token"}
        self.answer({"tokens": [listed], "total": 1, "page": 1, "page_size": 20})

    def new_token(self) -> None:
        self.answer({**TOKEN_ROW, **json.loads(self.body)}, 201)

    def revoke_token(self) -> None:
        self.send(204, b"")

    def me(self) -> None:
        self.answer({"email": "you@example.org", "name": "You"})
