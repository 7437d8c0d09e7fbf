"""Who asks."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request

from accounts.models import User


def actor_of(request: Request | HttpRequest) -> User:
    """The account of a request that has been authenticated."""
    actor = request.user
    assert isinstance(actor, User)  # noqa: S101 - IsAuthenticated has made sure; for the type checker
    return actor
