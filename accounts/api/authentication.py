"""Who is calling: a bearer token, or the session of a signed-in browser."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from accounts.models import ApiToken, User
from accounts.services import token_authenticate
from core.errors import CsrfFailed


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer mags_…`; `request.auth` is the ApiToken."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        kind, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = token_authenticate(text.strip(), request._request)
        return token.owner, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="mags"'


class SessionAuthentication(BaseAuthentication):
    """The dashboard's cookie, with CSRF enforced; `request.auth` is None.

    Loads the session by itself, because API requests do not pass the session middleware
    (docs/decisions/0101).
    """

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        http: HttpRequest = request._request
        key = http.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if not key:
            return None
        if not hasattr(http, "session"):
            http.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
        user = get_user(http)
        if not isinstance(user, User) or not user.is_active:
            return None
        _enforce_csrf(http)
        return user, None


def _enforce_csrf(request: HttpRequest) -> None:
    check = CSRFCheck(_no_view)
    check.process_request(request)
    if check.process_view(request, _no_view, (), {}):  # answers a reason if it refuses
        raise CsrfFailed


def _no_view(_: HttpRequest) -> HttpResponse:
    return HttpResponse()
