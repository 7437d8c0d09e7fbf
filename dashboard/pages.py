"""What the views share: the frame around a page, and its address with other parameters."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dashboard.navigation import navigation

API = "/api/v1"
PAGE_SIZE = 25
OF_THE_MOMENT = ("from", "done")  # they belong to one look at a page, not to its address


def page(
    request: HttpRequest, template: str, section: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """`section` is the name of one in `navigation`."""
    frame = {"navigation": navigation(request.user), "section": section}
    return render(request, template, {**frame, **context}, status=status)


def address(request: HttpRequest, **changes: object) -> str:
    """This page with other parameters; empty ones are left out."""
    wanted = {**request.GET.dict(), **{name: str(value) for name, value in changes.items()}}
    query = urlencode({name: value for name, value in wanted.items() if value and name not in OF_THE_MOMENT})
    return f"?{query}" if query else "."


def searched(request: HttpRequest) -> str:
    """What the search field says. PostgreSQL takes no NUL, and no name has one."""
    return request.GET.get("q", "").replace("\0", "").strip()
