"""Django under ASGI, made quick for the API (docs/decisions/0101)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asgiref.sync import ThreadSensitiveContext, iscoroutinefunction, sync_to_async
from django.core import signals
from django.core.exceptions import DisallowedHost, RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.db import close_old_connections, reset_queries
from django.http import HttpResponseBase, JsonResponse
from django.urls import Resolver404, resolve, set_script_prefix

from core import requestid
from core.api.body import error_body
from core.errors import Invalid, MagsError
from core.middleware import ApiMiddleware
from core.threads import threads

API_PREFIXES = ("/api/v1/", "/api/v2/", "/api/host/", "/api/gateway/")


class BadHost(Invalid):
    code = "bad_host"
    default_message = "This server does not answer under this host name."
    default_remediation = "Add the name to MAGS_ALLOWED_HOSTS, or use one that is there."


class OnThreads:
    """Runs an ASGI application's blocking parts on `threads`."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext(executor=threads):
            await self._app(scope, receive, send)


class Http:
    """The ASGI application for HTTP: the API on its short path, all else on Django's usual one."""

    def __init__(self) -> None:
        self._api = ApiHandler()
        self._pages = ASGIHandler()
        # `DatabaseThreads` looks after the connections; these would do it on some other thread.
        signals.request_started.disconnect(reset_queries)
        signals.request_started.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_old_connections)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # daphne takes the root path from a header of the client's. Django cuts it off the path, so
        # it could carry a page's address to the API's handler, which has no CSRF middleware.
        scope = {**scope, "root_path": ""}
        handler = self._api if scope["path"].startswith(API_PREFIXES) else self._pages
        await handler.handle(scope, receive, send)


class ApiHandler(ASGIHandler):
    """The same routes behind one middleware of our own.

    A plain view runs in one go on one thread, with middleware and rendering: each change between
    the event loop and a thread costs as much as a query. Views that wait (`WaitingView`) are async
    and cancelled when the client goes away.
    """

    def __init__(self) -> None:
        super().__init__()
        self._blocking = _BlockingHandler()

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002 - Django's signature
        _load_short_chain(self, self._get_response_async)  # type: ignore[attr-defined]

    def create_request(self, scope: Any, body_file: Any) -> tuple[Any, Any]:
        request, refusal = super().create_request(scope, body_file)
        if request is None:
            return None, _refused(Invalid(f"The request cannot be read: {refusal}"))
        # A chunked body declares no length, and DRF takes that for an empty one.
        request.META["CONTENT_LENGTH"] = str(body_file.seek(0, 2))
        body_file.seek(0)
        try:
            request.get_host()  # refuses names that are not ours, against DNS rebinding
        except DisallowedHost:
            return None, _refused(BadHost())
        return request, None

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with body:
            set_script_prefix("/")
            request, refusal = self.create_request(scope, body)
            if request is None:
                await self.send_response(refusal, send)
            elif _is_async_view(scope["path"]):
                await self._answer_or_cancel(request, receive, send)
            else:
                await self.send_response(await sync_to_async(self._blocking.answer)(request), send)

    async def _answer_or_cancel(self, request: ASGIRequest, receive: Any, send: Any) -> None:
        """Django's own `handle` goes to a thread to close the answer, which has nothing to close."""

        async def answer() -> None:
            await self.send_response(await self.run_get_response(request), send)

        tasks = [asyncio.create_task(answer()), asyncio.create_task(self.listen_for_disconnect(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            answered, _ = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(answered, Exception):
            raise answered


class _BlockingHandler(BaseHandler):
    """Runs a view and all around it on the calling thread."""

    def __init__(self) -> None:
        super().__init__()
        _load_short_chain(self, self._get_response)  # type: ignore[attr-defined]

    def answer(self, request: ASGIRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.close()  # its content stays readable
        return response


def _load_short_chain(handler: Any, get_response: Callable[..., Any]) -> None:
    handler._view_middleware = []
    handler._template_response_middleware = []
    handler._exception_middleware = []
    handler._middleware_chain = ApiMiddleware(convert_exception_to_response(get_response))


def _refused(error: MagsError) -> HttpResponseBase:
    made = requestid.begin(None)
    return JsonResponse(error_body(error), status=error.status, headers={requestid.HEADER: made})


def _is_async_view(path: str) -> bool:
    try:
        return iscoroutinefunction(resolve(path).func)
    except Resolver404:
        return False
