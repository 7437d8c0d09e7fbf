"""Lists: `?page=` from 1 and `?page_size=` (WIRE.md section 1)."""

from __future__ import annotations

from typing import Any, TypedDict, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from core.errors import Invalid

PAGE_SIZE = 20
PAGE_SIZE_LIMIT = 200
PAGE_LIMIT = 1_000_000  # keeps the offset within the databases' integers
M = TypeVar("M", bound=Model)

PAGE_PARAMETERS = [
    OpenApiParameter("page", int, description="From 1.", default=1),
    OpenApiParameter("page_size", int, description=f"At most {PAGE_SIZE_LIMIT}.", default=PAGE_SIZE),
]


class _Page(TypedDict):
    total: int
    page: int
    page_size: int


def paginated(
    request: Request,
    name: str,
    rows: QuerySet[M],
    output: type[serializers.BaseSerializer[Any]],
) -> dict[str, Any]:
    """`{name: [rows of this page], "total", "page", "page_size"}`. A page past the end is empty."""
    page = _number(request, "page", default=1, limit=PAGE_LIMIT)
    size = min(_number(request, "page_size", default=PAGE_SIZE, limit=PAGE_LIMIT), PAGE_SIZE_LIMIT)
    start = (page - 1) * size
    found = output(rows[start : start + size], many=True).data
    numbers: _Page = {"total": rows.count(), "page": page, "page_size": size}
    return {name: found, **numbers}


def _number(request: Request, name: str, *, default: int, limit: int) -> int:
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= limit):
        raise Invalid(
            f"{name}: must be a whole number from 1.", fields={name: "must be a whole number from 1"}
        )
    return int(text)
