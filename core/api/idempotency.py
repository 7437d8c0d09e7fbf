"""Creating calls that are safe to repeat: how views answer them, and how the documentation shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from core.idempotency import HEADER, Answer, Create, digest_of, idempotent, key_of

IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Send the same key to repeat a request without creating a second time.",
)


def answer_once(
    actor: AbstractBaseUser, request: Request, create: Create, *, body: Mapping[str, Any] | None = None
) -> Answer:
    """What `create` answers, or answered when the request was sent before: `core.idempotency.idempotent`.

    `body` stands for the request's own where that is not JSON.
    """
    content: Any = request.data if body is None else body
    return idempotent(actor, key_of(request.headers), digest_of("POST", request.path, content), create)
