"""Middleware that requests pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from core import requestid
from core.api.handler import as_mags_error, plain_answer

GetResponse = Callable[[HttpRequest], Any]  # a response, or an awaitable of one


class RequestIdMiddleware:
    """Names the request and says the name in the answer."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        made = requestid.begin(request.headers.get(requestid.HEADER))
        answer = self.get_response(request)
        if self._is_async:
            return self._awaited(cast("Awaitable[HttpResponse]", answer), made)
        return self._finished(cast("HttpResponse", answer), made)

    async def _awaited(self, answer: Awaitable[HttpResponse], made: str) -> HttpResponse:
        return self._finished(await answer, made)

    def _finished(self, response: HttpResponse, made: str) -> HttpResponse:
        response.headers[requestid.HEADER] = made
        self.after(response)
        return response

    def after(self, response: HttpResponse) -> None:
        """For subclasses."""


class ApiMiddleware(RequestIdMiddleware):
    """All that API requests pass: what Django's many do that matters for JSON (decision 0101)."""

    def after(self, response: HttpResponse) -> None:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        if not response.streaming:
            response.headers["Content-Length"] = str(len(response.content))


class ErrorMiddleware:
    """Our own errors, raised by a plain Django view, as an answer of their status."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        known = as_mags_error(error)
        return plain_answer(request, known) if known else None
