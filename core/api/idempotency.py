"""The header that makes a creating call safe to repeat, as the API's documentation shows it."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter

from core.idempotency import HEADER

IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Send the same key to repeat a request without creating a second time.",
)
