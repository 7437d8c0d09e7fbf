"""What the API's documentation shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_FILE: dict[str, Any] = {
    "file_id": "7d7f1f0e-0c5e-4f0c-8b0e-6a3f6f2f9a11",
    "name": "data.csv",
    "size": 1048576,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-11-23T07:00:00.000Z",
    "expires_at": "2026-11-30T07:00:00.000Z",
}


def _response(value: dict[str, Any], status: str = "200") -> OpenApiExample:
    return OpenApiExample("response", value=value, response_only=True, status_codes=[status])


UPLOAD = [_response(_FILE, "201")]
FILE = [_response(_FILE)]
LIST = [_response({"files": [_FILE], "total": 1, "page": 1, "page_size": 20})]
