"""The base of views that wait."""

from __future__ import annotations

import time
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.response import Response
from rest_framework.views import APIView

from core import credentials
from core.errors import MagsError
from core.wakeup import Waiter, listening


class WaitingView(APIView):
    """A view whose answer may come later. Its methods are plain, run on a thread and answer None while
    there is nothing to tell; then `look` is called, on a thread again, at each wake-up and at the end.

    Nothing is missed if a method calls `wait_for` before it reads. Between two looks no thread is held.
    Each change to a thread costs as much as a query (docs/decisions/0101), so authentication,
    throttling, the first look and the rendering share one.
    """

    view_is_async = True  # Django's word for a `dispatch` that is to be awaited
    waiter: Waiter
    deadline = 0.0

    def wait_for(self, wait_s: float, *groups: str) -> None:
        """Be woken by these groups, for this long from now."""
        self.deadline = time.monotonic() + wait_s
        self.waiter.listen(*groups)

    @property
    def is_over(self) -> bool:
        """An answer is due, whatever there is to tell."""
        return time.monotonic() >= self.deadline

    def look(self) -> HttpResponseBase | None:
        """The answer, or None while there is nothing to tell. It answers when `is_over`."""
        raise NotImplementedError

    async def pause(self) -> None:
        """What is awaited between two looks."""
        await self.waiter.wait(self.deadline - time.monotonic())

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        async with listening() as self.waiter:
            answer = await sync_to_async(super().dispatch)(request, *args, **kwargs)
            return await self._later() if answer is None else answer

    async def _later(self) -> Any:
        """The answer, however long it takes; or why the caller's credential does not count any more."""
        try:
            async with credentials.held(self.request.auth) as hold:
                answer = None
                while answer is None:
                    await self.pause()
                    answer = await sync_to_async(self._look_again)()
                return answer
        except TimeoutError:
            if hold.error is None:
                raise
            return await sync_to_async(self._refuse)(hold.error)

    def _look_again(self) -> Any:
        try:
            answer: Any = self.look()
        except Exception as error:  # noqa: BLE001 - as in DRF's dispatch: the handler knows what to answer
            answer = self.handle_exception(error)
        return self.finalize_response(self.request, answer)

    def _refuse(self, error: MagsError) -> Any:
        return self.finalize_response(self.request, self.handle_exception(error))

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        if response is None:
            return None
        final = super().finalize_response(request, response, *args, **kwargs)
        if not isinstance(final, Response):
            return final
        final.render()  # here, because Django would go to a thread for it
        return HttpResponse(final.content, status=final.status_code, headers=dict(final.items()))
