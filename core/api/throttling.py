"""Requests per minute of one token, of one signed-in person, or of one address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Model
from rest_framework.throttling import BaseThrottle

from core import bucket

if TYPE_CHECKING:  # DRF imports this module while it defines APIView
    from rest_framework.request import Request
    from rest_framework.views import APIView

BURST_S = 10  # how many seconds' worth of requests may come at once


class TokenBucketThrottle(BaseThrottle):
    """`THROTTLE_PER_MINUTE`, with short bursts above it."""

    def __init__(self) -> None:
        self._wait_s = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        per_minute: int = settings.THROTTLE_PER_MINUTE
        self._wait_s = bucket.take(self._key(request), per_minute, max(1, per_minute * BURST_S // 60))
        return self._wait_s == 0

    def wait(self) -> float:
        return self._wait_s

    def _key(self, request: Request) -> str:
        caller = request.auth or request.user
        if isinstance(caller, Model):
            return f"{caller._meta.label_lower}:{caller.pk}"
        return f"address:{request.META.get('REMOTE_ADDR', '')}"
