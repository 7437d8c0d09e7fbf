"""The base of views that wait."""

from __future__ import annotations

from typing import Any

import adrf.views
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class AsyncAPIView(adrf.views.APIView):
    """A DRF view with `async def get(...)`. Only for views that wait: plain ones are quicker
    (docs/decisions/0101). Authentication, permissions and throttles run on a thread."""

    def check_throttles(self, request: Request) -> None:
        # adrf's own starts an event loop even where no throttle is async.
        APIView.check_throttles(self, request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        if not isinstance(final, Response):
            return final
        final.render()  # here, because Django would go to a thread for it
        return HttpResponse(final.content, status=final.status_code, headers=dict(final.items()))
