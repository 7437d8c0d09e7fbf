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
from fake_sandboxes import StayingSandboxes
from fake_urls import PublishedUrls
from fake_workspaces import FakeVersion, FakeWorkspace, difference, receive

TOKEN = "mags_test-token"
TOKEN_ROW = {
    "id": 1,
    "name": "laptop",
    "prefix": "mags_abcd",
    "token": "mags_abcdef",
    "expires_at": None,
    "scopes": ["read", "run"],
    "workspace": None,
    "last_used_at": None,
    "last_used_address": None,
}


class FakeServer(ThreadingHTTPServer):
    """Runs scripts with `sh` at once. `runs_scripts = False` leaves that to the test."""

    daemon_threads = True
    block_on_close = False
    runs_scripts: bool = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs: dict[str, FakeJob] = {}
        self.workspaces: dict[str, FakeWorkspace] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.images: list[dict[str, Any]] = []
        self.usage: dict[str, Any] = {}
        self.aliases: dict[str, dict[str, Any]] = {}
        self.ssh_changes: dict[str, Any] = {}  # of what `access` answers for port 22
        self.incoming = threading.Event()  # an upload has begun
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
        """Do `kind` to the next `times` matching requests.

        A status is answered, with `is_early` before an upload was read. `drop` answers nothing,
        `cut` half the answer, `hang_up` does so after the first 100 kB of an upload.
        """
        self.troubles += [(pattern, kind, details)] * times

    def next_job(self) -> FakeJob:
        """The newest job, waited for."""
        with self.submitted:
            assert self.submitted.wait_for(lambda: bool(self.jobs), timeout=20)
            return list(self.jobs.values())[-1]

    def find(self, ref: str) -> FakeJob | None:
        named = [
            job
            for key in ("name", "workspace_id")
            for job in reversed(self.jobs.values())
            if job.sent.get(key) == ref
        ]
        return self.jobs.get(ref) or (named[0] if named else None)

    def new_workspace(self, name: str, **live: str) -> FakeWorkspace:
        self.workspaces[name] = FakeWorkspace(name, live)
        return self.workspaces[name]

    def submit(self, sent: dict[str, Any], key: str) -> FakeJob:
        with self.submitted:
            if key in self.keys:
                return self.jobs[self.keys[key]]
            job = FakeJob(str(uuid.uuid4()), sent)
            if sent.get("workspace_id"):
                self.workspaces.setdefault(sent["workspace_id"], FakeWorkspace(sent["workspace_id"]))
            self.jobs[job.id] = job
            self.keys[key or job.id] = job.id
            self.submitted.notify_all()
        if self.runs_scripts:
            threading.Thread(target=execute, args=(job,), daemon=True).start()
        return job

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class Handler(StayingSandboxes, PublishedUrls, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or an answer in two writes waits 40 ms for the client's ACK
    server: FakeServer
    ROUTES: ClassVar = (
        ("POST", r"/mags-jobs", "submit"),
        ("GET", r"/mags-jobs", "list_jobs"),
        ("GET", r"/mags-jobs/usage", "usage"),
        ("GET", r"/mags-jobs/([^/]+)", "job"),
        ("PATCH", r"/mags-jobs/([^/]+)", "change"),
        ("GET", r"/mags-jobs/([^/]+)/status", "job"),
        ("GET", r"/mags-jobs/([^/]+)/logs", "logs"),
        ("POST", r"/mags-jobs/([^/]+)/stop", "stop"),
        ("POST", r"/mags-jobs/([^/]+)/sync", "sync"),
        ("POST", r"/mags-jobs/([^/]+)/wake", "wake"),
        ("GET", r"/mags-jobs/([^/]+)/events", "events"),
        ("DELETE", r"/mags-jobs/([^/]+)/ssh-key", "revoke_ssh_key"),
        ("GET", r"/mags-workspaces", "list_workspaces"),
        ("GET", r"/mags-workspaces/([^/]+)", "workspace"),
        ("PATCH", r"/mags-workspaces/([^/]+)", "resize"),
        ("DELETE", r"/mags-workspaces/([^/]+)", "delete_workspace"),
        ("GET", r"/mags-workspaces/([^/]+)/versions", "versions"),
        ("POST", r"/mags-workspaces/([^/]+)/restore", "restore"),
        ("POST", r"/mags-workspaces/([^/]+)/fork", "fork"),
        ("GET", r"/mags-workspaces/([^/]+)/diff", "diff"),
        ("GET", r"/mags-images", "list_images"),
        ("POST", r"/mags-jobs/([^/]+)/access", "access"),
        ("POST", r"/mags-url-aliases", "new_alias"),
        ("GET", r"/mags-url-aliases", "list_aliases"),
        ("DELETE", r"/mags-url-aliases/([^/]+)", "remove_alias"),
        ("POST", r"/mags-files", "upload"),
        ("GET", r"/mags-files", "list_files"),
        ("GET", r"/mags-files/([^/]+)", "file"),
        ("DELETE", r"/mags-files/([^/]+)", "delete_file"),
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
        parts = urlsplit(self.path)
        self.query = dict(parse_qsl(parts.query))
        name = f"{self.command} {parts.path}"
        self.server.requests[name] += 1
        self.server.paths.append(f"{self.command} {self.path}")
        self.server.headers_seen.append({key.lower(): value for key, value in self.headers.items()})
        trouble = next((one for one in self.server.troubles if re.search(one[0], name)), None)
        if trouble:
            self.server.troubles.remove(trouble)
        if not (trouble and trouble[2].get("is_early")):
            self.read_body(is_cut=bool(trouble and trouble[1] == "hang_up"))
        if trouble:
            self.misbehave(*trouble[1:])
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.fail(401, "bad_token", "This token is not known.", "Make a new one on the dashboard.")
            return
        self.route(parts.path)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

    def read_body(self, *, is_cut: bool) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content_type = self.headers.get("Content-Type") or ""
        if is_cut:
            self.rfile.read(100_000)
        elif content_type.startswith("multipart/"):
            self.server.incoming.set()
            self.received = receive(self.rfile, length, content_type)
        else:
            self.body = self.rfile.read(length)

    def route(self, path: str) -> None:
        for method, pattern, name in self.ROUTES:
            found = re.fullmatch("/api/v1" + pattern, path)
            if not found or method != self.command:
                continue
            if not found.groups():
                getattr(self, name)()
                return
            thing = self.find(path.split("/")[3], unquote(found[1]))
            if thing:
                getattr(self, name)(thing)
                return
        if path.startswith("/api/v1/mags-workspaces/"):
            self.fail(404, "workspace_not_found", "There is no such workspace.", "Check the name.")
            return
        self.fail(404, "not_found", "There is no such thing here.", "Check the name or id.")

    def usage(self) -> None:
        days = int(dict(parse_qsl(urlsplit(self.path).query))["window_days"])
        self.answer({**self.server.usage, "window_days": days})

    def list_images(self) -> None:
        self.answer({"images": self.server.images, "total": len(self.server.images)})

    def find(self, kind: str, ref: str) -> Any:
        if kind == "mags-workspaces":
            return self.server.workspaces.get(ref)
        if kind == "mags-url-aliases":
            return self.server.aliases.get(ref)
        return self.server.files.get(ref) if kind == "mags-files" else self.server.find(ref)

    def misbehave(self, kind: str, details: dict[str, Any]) -> None:
        if kind in ("drop", "hang_up"):  # no answer comes
            self.close_connection = True
            return
        if kind == "cut":  # the request takes effect, but half the answer is lost
            self.is_cut = True
            self.route(urlsplit(self.path).path)
            return
        headers = details.get("headers", {})
        self.close_connection = bool(details.get("is_early"))
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
        jobs = [job.as_wire() for job in reversed(self.server.jobs.values())]
        if "status" in self.query:
            jobs = [job for job in jobs if job["status"] == self.query["status"]]
        self.page_of("jobs", jobs)

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
        if not job.ends_slowly:
            job.sandbox = "none"
        if job.process and job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)
        self.answer({"request_id": job.id, "status": job.status})

    def sync(self, job: FakeJob) -> None:
        workspace = self.server.workspaces[job.sent["workspace_id"]]
        saved = workspace.save().as_wire()
        self.answer(
            {
                "workspace_id": workspace.name,
                "version": saved["version"],
                "sha256": saved["sha256"],
                "bytes": saved["stored_bytes"],
                "synced_at": saved["durable_at"],
            }
        )

    def page_of(self, key: str, rows: list[Any]) -> None:
        page, size = int(self.query.get("page", 1)), int(self.query.get("page_size", 20))
        shown = rows[(page - 1) * size : page * size]
        self.answer({key: shown, "total": len(rows), "page": page, "page_size": size})

    def list_workspaces(self) -> None:
        self.page_of("workspaces", [one.as_wire() for one in reversed(self.server.workspaces.values())])

    def workspace(self, workspace: FakeWorkspace) -> None:
        self.answer(workspace.as_wire())

    def resize(self, workspace: FakeWorkspace) -> None:
        workspace.disk_gb = json.loads(self.body)["disk_gb"]
        self.answer(workspace.as_wire())

    def delete_workspace(self, workspace: FakeWorkspace) -> None:
        if workspace.as_wire()["active_job"]:
            self.fail(
                409, "workspace_in_use", "The workspace is already in use.", "Stop the job that uses it."
            )
            return
        del self.server.workspaces[workspace.name]
        self.send(204, b"")

    def versions(self, workspace: FakeWorkspace) -> None:
        self.page_of("versions", [one.as_wire() for one in reversed(workspace.versions)])

    def restore(self, workspace: FakeWorkspace) -> None:
        old = self.version_of(workspace, json.loads(self.body)["version"])
        if old:
            workspace.live = dict(old.tree)
            self.answer(workspace.save("restore").as_wire())

    def version_of(self, workspace: FakeWorkspace, number: int) -> FakeVersion | None:
        found = workspace.version(number)
        if not found:
            self.fail(
                404, "version_not_found", f"There is no version {number}.", "Look at the list of versions."
            )
        return found

    def fork(self, workspace: FakeWorkspace) -> None:
        wanted = json.loads(self.body)
        name = wanted["name"]
        if name in self.server.workspaces:
            self.fail(409, "workspace_name_taken", f"{name} exists already.", "Delete it.")
            return
        source = self.version_of(workspace, wanted.get("version") or len(workspace.versions))
        if not source:
            return
        fork = self.server.new_workspace(name, **source.tree)
        fork.save("fork")
        self.answer(fork.as_wire(), 201)

    def diff(self, workspace: FakeWorkspace) -> None:
        number = int(self.query.get("to") or len(workspace.versions))
        new = self.version_of(workspace, number)
        old = new and self.version_of(workspace, int(self.query.get("from") or number - 1))
        if old and new:
            self.answer(difference(old, new))

    def upload(self) -> None:
        if not self.received:  # the client hung up
            self.close_connection = True
            return
        key = self.headers.get("Idempotency-Key") or self.received["file_id"]
        file_id = self.server.keys.setdefault(key, self.received["file_id"])
        self.answer(self.server.files.setdefault(file_id, self.received), 201)

    def list_files(self) -> None:
        self.page_of("files", list(reversed(self.server.files.values())))

    def file(self, file: dict[str, Any]) -> None:
        self.answer(file)

    def delete_file(self, file: dict[str, Any]) -> None:
        del self.server.files[file["file_id"]]
        self.send(204, b"")

    def tokens(self) -> None:
        listed = {name: value for name, value in TOKEN_ROW.items() if name != "token"}
        self.answer({"tokens": [listed], "total": 1, "page": 1, "page_size": 20})

    def new_token(self) -> None:
        self.answer({**TOKEN_ROW, **json.loads(self.body)}, 201)

    def revoke_token(self) -> None:
        self.send(204, b"")

    def me(self) -> None:
        self.answer({"email": "you@example.org", "name": "You", "token": TOKEN_ROW})
