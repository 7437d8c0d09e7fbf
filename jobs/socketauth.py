"""Who is at the other end of a WebSocket: a session that is checked again and again, or a token."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts.models import ApiToken, User
from accounts.scopes import Scope
from accounts.services import token_authenticate, token_require

Check = Callable[[], User | None]


def token_of(text: str, needs: Scope, scope: dict[str, Any]) -> ApiToken:
    """The token of this text. Raises why it does not open such a connection."""
    token = token_authenticate(text, _request(scope))
    token_require(token, needs)
    return token


def cookie_check(scope: dict[str, Any]) -> Check | None:
    """For a session cookie that comes from one of our own pages; None without one.

    Browsers send cookies with WebSockets of any page and enforce nothing: only `Origin`, which a
    page cannot forge, tells ours from others.
    """
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    key = parse_cookie(headers.get(b"cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if not key or not _is_own_page(headers.get(b"origin", ""), headers.get(b"host", "")):
        return None
    return partial(_by_session, key)


def _request(scope: dict[str, Any]) -> HttpRequest:
    """Its handshake, as far as the address goes that it came from."""
    headers = dict(scope["headers"])
    request = HttpRequest()
    request.META = {
        "REMOTE_ADDR": (scope.get("client") or [""])[0],
        "HTTP_X_FORWARDED_FOR": headers.get(b"x-forwarded-for", b"").decode("latin-1"),
    }
    return request


def _is_own_page(origin: str, host: str) -> bool:
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    domain, _ = split_domain_port(host)
    parts = urlsplit(origin)
    schemes = {"https"} if settings.IS_HTTPS else {"http", "https"}
    is_same = parts.scheme in schemes and parts.netloc == host
    return is_same and bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _by_session(key: str) -> User | None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None
