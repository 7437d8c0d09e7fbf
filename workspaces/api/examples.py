"""What the API's documentation shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_WORKSPACE: dict[str, Any] = {
    "id": "0b9b6f3e-6f0e-4a65-9d3e-5d0c7f1f4a77",
    "workspace_id": "train",
    "name": "train",
    "size_bytes": 233_000_000,
    "stored_bytes": 81_204_320,
    "version": 3,
    "versions": 3,
    "durable_at": "2026-11-23T07:00:12.000Z",
    "disk_gb": 10,
    "image": "standard",
    "is_saved": True,
    "damaged": None,
    "host": "host-1",
    "active_job": None,
    "created_at": "2026-11-22T18:30:00.000Z",
    "used_at": "2026-11-23T07:00:12.000Z",
}
_VERSION: dict[str, Any] = {
    "version": 3,
    "sha256": _SHA256,
    "is_head": True,
    "reason": "sync",
    "size_bytes": 233_000_000,
    "stored_bytes": 4320,
    "made_at": "2026-11-23T07:00:11.900Z",
    "durable_at": "2026-11-23T07:00:12.000Z",
    "is_damaged": False,
}
_PAGE = {"total": 1, "page": 1, "page_size": 20}


def _request(value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample("request", value=value, request_only=True)


def _response(value: dict[str, Any], status: str = "200") -> OpenApiExample:
    return OpenApiExample("response", value=value, response_only=True, status_codes=[status])


WORKSPACE = [_response(_WORKSPACE)]
LIST = [_response({"workspaces": [_WORKSPACE]} | _PAGE)]
PATCH = [_request({"disk_gb": 20}), _response(_WORKSPACE | {"disk_gb": 20})]
VERSIONS = [_response({"versions": [_VERSION]} | _PAGE)]
RESTORE = [
    _request({"version": 2}),
    _response(_VERSION | {"version": 4, "reason": "restore", "stored_bytes": 0}),
]
FORK = [
    _request({"name": "train-2"}),
    _response(
        _WORKSPACE | {"workspace_id": "train-2", "name": "train-2", "version": 1, "versions": 1}, "201"
    ),
]
DIFF = [
    _response(
        {
            "from": 2,
            "to": 3,
            "added": ["root/model.bin"],
            "changed": ["root/train.py"],
            "removed": [],
            "totals": {"added": 1, "changed": 1, "removed": 0},
            "truncated": False,
        }
    )
]
