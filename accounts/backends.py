"""Signing in with e-mail and password, not too often."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from core import bucket
from core.addresses import client_address
from core.errors import Throttled

# Over all addresses one account may be tried more often than from one: whoever guesses at it must not
# be able to lock its owner out from elsewhere.
ACCOUNT_SHARE = 5


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
            limit: int = settings.LOGIN_ATTEMPTS_PER_MINUTE
            _count(f"login:address:{client_address(request)}", limit)
            _count(f"login:account:{email[:254]}", limit * ACCOUNT_SHARE)
        return super().authenticate(request, username=username, password=password, **kwargs)


def _count(key: str, limit: int) -> None:
    wait_s = bucket.take(key, limit, burst=limit)
    if wait_s > 0:
        raise Throttled("Too many attempts to sign in.", retry_after_s=wait_s)
