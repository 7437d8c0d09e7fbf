"""Who is calling: a bearer token, or the session of a signed-in browser."""

from __future__ import annotations

import hashlib

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.models import ApiToken, User
from core.errors import Unauthorized


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer mags_…`"""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        kind, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        digest = hashlib.sha256(text.strip().encode()).hexdigest()
        token = ApiToken.objects.select_related("owner").filter(digest=digest).first()
        if token is None or not token.owner.is_active:
            raise Unauthorized("This token is not known.", code="bad_token")
        return token.owner, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="mags"'
