"""The public API of usage (WIRE.md section 2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.actor import actor_of
from core.errors import Invalid
from jobs.api.queries import whole
from usage import export
from usage.api import examples
from usage.api.outputs import UsageOutput, usage_object
from usage.selectors import usage_read
from usage.window import window_of

WINDOW_DAYS, WINDOW_DAYS_MOST = 30, 366
FORMATS = ("json", "csv")


class ByParameter(DefaultContentNegotiation):
    """`format` says what is answered, not what a client happens to accept."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type or ""


class UsageView(APIView):
    content_negotiation_class = ByParameter

    @extend_schema(
        operation_id="usage",
        parameters=[
            OpenApiParameter(
                "window_days",
                int,
                description=f"How many days (UTC), today included; at most {WINDOW_DAYS_MOST}.",
                default=WINDOW_DAYS,
            ),
            OpenApiParameter("format", str, enum=FORMATS, default="json"),
        ],
        responses={(200, "application/json"): UsageOutput, (200, "text/csv"): OpenApiTypes.STR},
        examples=examples.USAGE,
    )
    def get(self, request: Request) -> HttpResponse:
        """What you used, by day, workspace and token. `null` means not metered, which is not nothing. As CSV,
        one line for each day, workspace and token."""
        query = request.query_params.dict()
        days = whole(query, "window_days", WINDOW_DAYS, least=1, most=WINDOW_DAYS_MOST)
        wanted = _format(query)
        report = usage_read(actor_of(request), window_of(days, timezone.now()))
        if wanted == "csv":
            return HttpResponse(
                export.csv_text(report),
                content_type="text/csv; charset=utf-8",
                headers={"Content-Disposition": f'attachment; filename="{export.file_name(report)}"'},
            )
        return Response(usage_object(report))


def _format(query: dict[str, Any]) -> str:
    wanted: str = query.get("format") or FORMATS[0]
    if wanted not in FORMATS:
        what = f"must be one of {', '.join(FORMATS)}"
        raise Invalid(f"format: {what}", fields={"format": what})
    return wanted
