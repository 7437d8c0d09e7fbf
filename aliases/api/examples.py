"""What the API's documentation shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_ALIAS: dict[str, Any] = {
    "id": "1c6a3f0e-7f0a-4a5e-9a0b-2f4f5b6c7d8e",
    "subdomain": "shop",
    "workspace_id": "web",
    "port": None,
    "url": "http://shop.apps.localhost:8081",
    "created_at": "2026-11-23T07:00:00.000Z",
}


def _response(value: dict[str, Any], status: str = "200") -> OpenApiExample:
    return OpenApiExample("response", value=value, response_only=True, status_codes=[status])


CREATE = [
    OpenApiExample("request", value={"subdomain": "shop", "workspace_id": "web"}, request_only=True),
    _response(_ALIAS, "201"),
]
ALIAS = [_response(_ALIAS)]
LIST = [_response({"aliases": [_ALIAS], "total": 1, "page": 1, "page_size": 20})]
