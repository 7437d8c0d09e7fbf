"""The one place that turns failures into answers, for the API and for pages."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from rest_framework import exceptions as drf
from rest_framework.response import Response

from core import errors
from core.api.body import error_body
from core.api.page import error_page

logger = logging.getLogger(__name__)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook. Also answers what nobody expected, so that the shape holds with DEBUG on."""
    known = as_mags_error(error)
    if known is None:
        request: Any = context.get("request")
        logger.error("%s %s failed", request.method, request.path, exc_info=error)
        known = errors.Internal()
    # DRF's view has set Allow and, for 401, would set WWW-Authenticate only on its own errors.
    return Response(error_body(known), status=known.status, headers=_headers(known))


def plain_answer(request: HttpRequest, error: errors.MagsError) -> HttpResponse:
    """JSON under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return JsonResponse(error_body(error), status=error.status, headers=_headers(error))
    return error_page(request, error, _headers(error))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain_answer(request, as_mags_error(exception) or errors.Invalid())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain_answer(request, errors.Forbidden())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return plain_answer(request, errors.CsrfFailed())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain_answer(request, errors.NotFound(f"There is nothing at {request.path}."))


def server_error(request: HttpRequest) -> HttpResponse:
    return plain_answer(request, errors.Internal())


def as_mags_error(error: Exception) -> errors.MagsError | None:
    """The error as one of ours, or None if nobody expected it."""
    if isinstance(error, errors.MagsError):
        return error
    if isinstance(error, drf.APIException):
        return _from_drf(error)
    for kind, make in _KNOWN:
        if isinstance(error, kind):
            return make()
    if isinstance(error, OperationalError | InterfaceError):
        logger.warning("the database is not available: %s", error)
        return errors.Unavailable("The database is busy or away.", retry_after_s=1)
    return None


_KNOWN: list[tuple[type[Exception], type[errors.MagsError]]] = [
    (Http404, errors.NotFound),
    (PermissionDenied, errors.Forbidden),
    (RequestDataTooBig, errors.TooLarge),
    (SuspiciousOperation, errors.Invalid),
    (UnreadablePostError, errors.Invalid),
]


def _from_drf(error: drf.APIException) -> errors.MagsError:
    if isinstance(error, drf.ValidationError):
        fields = _flatten(error.detail)
        words = "; ".join(f"{name}: {text}" if name else text for name, text in fields.items())
        return errors.Invalid(words, fields=fields)
    for theirs, ours in _DRF:
        if isinstance(error, theirs):
            text = "" if ours is errors.Unauthorized else str(error.detail)
            return ours(text, retry_after_s=getattr(error, "wait", None))
    return errors.MagsError(str(error.detail), status=error.status_code, code=str(error.default_code))


_DRF: list[tuple[type[drf.APIException], type[errors.MagsError]]] = [
    (drf.NotAuthenticated, errors.Unauthorized),
    (drf.AuthenticationFailed, errors.Unauthorized),
    (drf.PermissionDenied, errors.Forbidden),
    (drf.NotFound, errors.NotFound),
    (drf.MethodNotAllowed, errors.MethodNotAllowed),
    (drf.NotAcceptable, errors.NotAcceptable),
    (drf.UnsupportedMediaType, errors.UnsupportedMediaType),
    (drf.Throttled, errors.Throttled),
    (drf.ParseError, errors.Invalid),
]


def _flatten(detail: Any, path: str = "") -> dict[str, str]:
    """DRF's nested error lists as `{"environment.A": "what is wrong"}`."""
    if isinstance(detail, dict):
        found: dict[str, str] = {}
        for name, inner in detail.items():
            plain = "" if name == "non_field_errors" else str(name)
            found |= _flatten(inner, ".".join(part for part in (path, plain) if part))
        return found
    if isinstance(detail, list) and any(isinstance(item, dict) for item in detail):
        return {k: v for i, item in enumerate(detail) for k, v in _flatten(item, f"{path}[{i}]").items()}
    return {path: " ".join(str(item) for item in (detail if isinstance(detail, list) else [detail]))}


def _headers(error: errors.MagsError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers
