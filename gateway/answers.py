"""What the gateway answers by itself: a page for a browser, the API's error shape for everybody else."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template

import msgspec
from aiohttp import web

from gateway.errors import GatewayError

WAITING_REFRESH_S = 2
_DIRECTORY = Path(__file__).parent / "pages"
_PAGE = Template((_DIRECTORY / "page.html").read_text(encoding="utf-8"))
_STYLE = (_DIRECTORY / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "no-store",
    "Server": "mags",
    "X-Content-Type-Options": "nosniff",
}
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"


def is_browser(request: web.BaseRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def is_navigation(request: web.BaseRequest) -> bool:
    """Whether a person looks at a page that loads: only those can be shown another one meanwhile."""
    mode = request.headers.get("Sec-Fetch-Mode")
    return request.method == "GET" and mode == "navigate" and is_browser(request)


def refusal(request: web.BaseRequest, error: GatewayError, request_id: str) -> web.Response:
    headers = {**_HEADERS, "X-Request-Id": request_id}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if is_browser(request):
        body = _page(error.title, error.message, error.remediation)
        return _html(error.status, headers, body)
    shape = {
        "error": error.message,
        "code": error.code,
        "remediation": error.remediation,
        "retryable": error.retry_after_s is not None,
        "request_id": request_id,
    }
    body = msgspec.json.encode(shape)
    return web.Response(status=error.status, headers=headers, body=body, content_type="application/json")


def waiting(request_id: str) -> web.Response:
    """A page that asks again by itself until the sandbox answers."""
    headers = {**_HEADERS, "X-Request-Id": request_id, "Retry-After": str(WAITING_REFRESH_S)}
    refresh = f'<meta http-equiv="refresh" content="{WAITING_REFRESH_S}">\n'
    body = _page("Waking up", "The sandbox was asleep.", "This page appears by itself.", refresh)
    return _html(503, headers, body)


def _html(status: int, headers: dict[str, str], body: bytes) -> web.Response:
    return web.Response(
        status=status,
        headers={**headers, "Content-Security-Policy": _POLICY},
        body=body,
        content_type="text/html",
        charset="utf-8",
    )


def _page(title: str, text: str, remedy: str, refresh: str = "") -> bytes:
    sentence = text[:1].upper() + text[1:]
    return _PAGE.substitute(
        title=escape(title),
        text=escape(sentence if sentence.endswith(".") else f"{sentence}."),
        remedy=escape(remedy),
        refresh=refresh,
        style=_STYLE,
    ).encode()
