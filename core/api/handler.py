"""The one place that turns failures into answers."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from core import errors
from core.api.body import error_body

logger = logging.getLogger(__name__)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook. Unexpected exceptions go on to `server_error`, which answers in the same shape."""
    known = as_mags_error(error)
    if known is None:
        return None
    return Response(error_body(known), status=_status(error, known), headers=_headers(error, known))


def as_mags_error(error: Exception) -> errors.MagsError | None:
    """The error as one of ours, or None if nobody expected it."""
    if isinstance(error, errors.MagsError):
        return error
    if isinstance(error, Http404):
        return errors.NotFound()
    if isinstance(error, PermissionDenied):
        return errors.Forbidden()
    if isinstance(error, drf.APIException):
        return _from_drf(error)
    if isinstance(error, OperationalError):
        logger.warning("database not available: %s", error)
        return errors.Unavailable("The database is busy.", retry_after_s=1)
    return None


def _from_drf(error: drf.APIException) -> errors.MagsError:
    if isinstance(error, drf.ValidationError):
        fields = _flatten(error.detail)
        words = "; ".join(f"{name}: {text}" if name else text for name, text in fields.items())
        return errors.Invalid(words, fields=fields)
    kind = _DRF.get(type(error))
    if kind:
        wait = getattr(error, "wait", None)
        return kind(str(error.detail), retry_after_s=wait)
    return errors.MagsError(str(error.detail), code=str(error.default_code))


_DRF: dict[type[drf.APIException], type[errors.MagsError]] = {
    drf.NotAuthenticated: errors.Unauthorized,
    drf.AuthenticationFailed: errors.Unauthorized,
    drf.PermissionDenied: errors.Forbidden,
    drf.NotFound: errors.NotFound,
    drf.Throttled: errors.Throttled,
    drf.ParseError: errors.Invalid,
}


def _flatten(detail: Any, path: str = "") -> dict[str, str]:
    """DRF's nested error lists as `{"environment.A": "what is wrong"}`."""
    if isinstance(detail, dict):
        found: dict[str, str] = {}
        for name, inner in detail.items():
            plain = "" if name == "non_field_errors" else str(name)
            found |= _flatten(inner, ".".join(part for part in (path, plain) if part))
        return found
    if isinstance(detail, list):
        if any(isinstance(item, dict) for item in detail):
            return {k: v for i, item in enumerate(detail) for k, v in _flatten(item, f"{path}[{i}]").items()}
        return {path: " ".join(str(item) for item in detail)}
    return {path: str(detail)}


def _status(error: Exception, known: errors.MagsError) -> int:
    if isinstance(error, drf.APIException) and type(error) not in _DRF:
        return error.status_code
    return known.status


def _headers(error: Exception, known: errors.MagsError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if known.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(known.retry_after_s)))
    authenticate = getattr(error, "auth_header", None)
    if known.status == 401:
        headers["WWW-Authenticate"] = authenticate or "Bearer"
    return headers


def _answer(request: HttpRequest, error: errors.MagsError) -> HttpResponse:
    return JsonResponse(error_body(error), status=error.status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, errors.Invalid())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, errors.Forbidden())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, errors.NotFound(f"There is nothing at {request.path}."))


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(request, errors.MagsError("The server failed.", code="internal"))
