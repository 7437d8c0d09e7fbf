"""What goes over the wire and back, without doing any of it: shared by both clients."""

from __future__ import annotations

import base64
import json
import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import mags
from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mags.upload import Upload

API = "/api/v1"
# Answers that say "not now": another try may well succeed.
RETRY_STATUSES = frozenset({429, 502, 503, 504})
BACKOFF_FIRST_S = 0.2
BACKOFF_CAP_S = 5.0  # 0.2, 0.4, 0.8 ... 5: a server that restarts in 3 s is found again within 2 s
PAGE_ENTRIES = 10_000  # of a job's output in one answer; the server ends a page at 1 MiB anyway
STORE_WAIT_S = 120.0  # from the last byte of an upload until it is stored
ERROR_TEXT_LIMIT = 500  # characters of an error page that is no JSON


@dataclass(frozen=True)
class Request:
    """One call. `path` begins after /api/v1; `wait_s` is how long the server may hold it."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    upload: Upload | None = None  # goes instead of a body
    wait_s: float = 0.0
    idempotency_key: str = ""
    is_repeatable: bool = True  # False: a second try could do the thing twice

    def target(self) -> str:
        query = {name: value for name, value in self.query.items() if value is not None}
        return API + self.path + (f"?{urlencode(query)}" if query else "")

    def content(self) -> bytes:
        if self.body is None:
            return b""
        try:
            return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError as error:
            raise MagsError(
                "The request holds bytes that are not UTF-8 text.", code="bad_argument"
            ) from error

    def headers(self, token: str) -> dict[bytes | str, bytes | str]:
        headers: dict[bytes | str, bytes | str] = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": f"mags-python/{mags.__version__}",
        }
        if self.upload:
            headers["Content-Type"] = self.upload.content_type
            headers["Content-Length"] = str(self.upload.content_length)
        if self.idempotency_key:
            headers["Idempotency-Key"] = self.idempotency_key
        return headers


def job_path(job: str, *rest: str) -> str:
    """/mags-jobs/{job}/...; `job` is an id or a name."""
    return _path("/mags-jobs", job, rest, "Name a job: its id or its name.")


def exec_path(job: str, exec_id: str, *rest: str) -> str:
    """/mags-jobs/{job}/execs/{exec_id}/..."""
    return _path(job_path(job, "execs"), exec_id, rest, "Name an exec by its id.")


def workspace_path(name: str, *rest: str) -> str:
    """/mags-workspaces/{name}/..."""
    return _path("/mags-workspaces", name, rest, "Name a workspace.")


def alias_path(subdomain: str) -> str:
    """/mags-url-aliases/{subdomain}"""
    return _path("/mags-url-aliases", subdomain, (), "Name an alias.")


def file_path(file_id: str) -> str:
    """/mags-files/{file_id}"""
    return _path("/mags-files", file_id, (), "Name an upload by its id.")


def _path(root: str, name: str, rest: tuple[str, ...], otherwise: str) -> str:
    if not name or name in (".", ".."):
        raise MagsError(otherwise, code="bad_argument")
    try:
        return "/".join((root, quote(name, safe=""), *rest))
    except UnicodeEncodeError as error:
        raise MagsError(f"{otherwise} It is not UTF-8 text.", code="bad_argument") from error


def submit_request(script: str, options: Mapping[str, Any]) -> Request:
    """POST /mags-jobs with every option that is not None."""
    body = {"script": script, "type": "inline"}
    body.update((name, value) for name, value in options.items() if value is not None)
    return creation("/mags-jobs", body)


def creation(path: str, body: Mapping[str, Any]) -> Request:
    """A POST that makes one thing, however often it is sent."""
    return Request("POST", path, body=body, idempotency_key=os.urandom(16).hex())


def execution(path: str, body: Mapping[str, Any], wait_s: float) -> Request:
    """A POST that is answered when a command has ended. Sent again, it joins what the first one started."""
    return Request("POST", path, body=body, wait_s=wait_s, idempotency_key=os.urandom(16).hex())


def upload_request(upload: Upload) -> Request:
    """POST /mags-files"""
    return Request(
        "POST", "/mags-files", upload=upload, wait_s=STORE_WAIT_S, idempotency_key=os.urandom(16).hex()
    )


def text_of(answer: Mapping[str, Any], key: str, url: str) -> str:
    """A text that an answer must have."""
    text = answer.get(key)
    if not isinstance(text, str) or not text:
        raise _not_mags(url)
    return text


def parse_answer(status: int, headers: Mapping[str, str], content: bytes, url: str) -> dict[str, Any]:
    """The body of a success, or the error that the answer is. `headers` has lower-case names."""
    if 300 <= status < 400:
        raise MagsError(
            f"{url} redirects to {headers.get('location', 'nowhere')!r}. Redirects are not followed, because"
            " the token would go with them.",
            status=status,
            code="redirected",
            remediation="Set MAGS_API_URL to the address that the server really has.",
        )
    try:
        data = json.loads(content) if content.strip() else {}
    except ValueError:
        data = None
    if status >= 400:
        raise _error_of(status, headers, data if isinstance(data, dict) else {}, content, url)
    if not isinstance(data, dict):
        raise _not_mags(url, status)
    return data


def _not_mags(url: str, status: int | None = None) -> MagsError:
    return MagsError(
        f"{url} did not answer like a Mags server.",
        status=status,
        code="bad_answer",
        remediation="Check MAGS_API_URL.",
    )


def _error_of(
    status: int, headers: Mapping[str, str], data: dict[str, Any], content: bytes, url: str
) -> MagsError:
    fields = data.get("fields")
    plain = content[:ERROR_TEXT_LIMIT].decode("utf-8", "replace").strip()
    is_page = "json" not in headers.get("content-type", "") and plain.startswith("<")
    text = data.get("error") or data.get("message") or ("" if is_page else plain)
    return MagsError(
        str(text or f"{url} answered with status {status}."),
        status=status,
        code=str(data.get("code") or f"http_{status}"),
        remediation=str(data.get("remediation") or ""),
        request_id=str(data.get("request_id") or headers.get("x-request-id") or "") or None,
        retryable=bool(data.get("retryable", status in RETRY_STATUSES)),
        fields=fields if isinstance(fields, dict) else None,
    )


def retry_delay(error: MagsError, attempt: int, retry_after: str | None) -> float | None:
    """Seconds to wait before the next try (`attempt` counts from 0), None when it would be in vain."""
    if not (error.status in RETRY_STATUSES if error.status else error.retryable):
        return None
    ceiling = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2**attempt)
    delay = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads clients, guards nothing
    # Only the form in seconds: a date would need a clock that agrees with the server's.
    return max(delay, float(retry_after)) if retry_after and retry_after.isdecimal() else delay


def entry_bytes(entry: Mapping[str, Any]) -> bytes:
    """The bytes that an entry of the output was made of, exactly."""
    if "base64" in entry:
        return base64.b64decode(entry["base64"])
    return str(entry["message"]).encode() + (b"" if entry.get("partial") else b"\n")


def run_result(request_id: str, job: Mapping[str, Any], logs: list[Any]) -> dict[str, Any]:
    """What `run_and_wait` answers."""
    return {
        "request_id": request_id,
        "status": job.get("status"),
        "reason": job.get("reason") or "",
        "exit_code": job.get("exit_code"),
        "duration_ms": job.get("script_duration_ms"),
        "logs": logs,
    }
