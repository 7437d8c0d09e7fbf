"""Signing in with e-mail and password, not too often."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from core import bucket
from core.errors import Throttled


class LimitedBackend(ModelBackend):
    """Counts attempts by address and by e-mail, wherever the form is: dashboard or admin.

    Raises `Throttled`, which becomes a 429 with Retry-After.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if request is not None and password is not None:
            email = (username or kwargs.get("email") or "").strip().lower()
            _count(f"login:address:{request.META.get('REMOTE_ADDR', '')}")
            _count(f"login:email:{email[:254]}")
        return super().authenticate(request, username=username, password=password, **kwargs)


def _count(key: str) -> None:
    limit = settings.LOGIN_ATTEMPTS_PER_MINUTE
    wait_s = bucket.take(key, limit, burst=limit)
    if wait_s > 0:
        raise Throttled("Too many attempts to sign in.", retry_after_s=wait_s)
