"""Middleware that every request passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from core import requestid


class RequestIdMiddleware:
    """Names the request and says the name in the answer."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        made = requestid.begin(request.headers.get(requestid.HEADER))
        request.request_id = made  # type: ignore[attr-defined]
        answer = self.get_response(request)
        if isinstance(answer, HttpResponse) or not isinstance(answer, Awaitable):
            answer[requestid.HEADER] = made
            return answer
        return self._awaited(answer, made)

    async def _awaited(self, answer: Awaitable[HttpResponse], made: str) -> HttpResponse:
        response = await answer
        response[requestid.HEADER] = made
        return response
