"""The one shape of an error body (WIRE.md section 1)."""

from __future__ import annotations

from typing import Any

from core import requestid
from core.errors import MagsError


def error_body(error: MagsError) -> dict[str, Any]:
    """`error` is always a string; `fields` is there for bad input only."""
    body: dict[str, Any] = {
        "error": error.message,
        "code": error.code,
        "remediation": error.remediation,
        "retryable": error.retryable,
        "request_id": requestid.request_id(),
    }
    if error.fields:
        body["fields"] = error.fields
    return body
