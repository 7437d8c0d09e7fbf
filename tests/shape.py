"""The one shape of an error (WIRE.md section 1)."""

from __future__ import annotations

from typing import Any

TEXTS = ("error", "code", "remediation", "request_id")


def assert_error(response: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """The response is an error of this status and code, in the API's shape; answers its body."""
    body: dict[str, Any] = response.json()
    assert response.status_code == status, body
    assert set(body) <= {*TEXTS, "retryable", "fields"}
    for name in TEXTS:
        assert isinstance(body[name], str), name
        assert body[name], name
    assert isinstance(body["retryable"], bool)
    assert all(isinstance(text, str) for text in body.get("fields", {}).values())
    assert response.headers["X-Request-Id"] == body["request_id"]
    if code is not None:
        assert body["code"] == code
    return body
