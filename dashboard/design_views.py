"""The design system on a page: what the others are made of, to look at and to copy from."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.pages import page

# Names in static/dashboard/css/tokens.css, and what each is for.
COLOURS = {
    "bg": "The page", "surface": "Cards, sidebar", "raised": "Fields, menus, dialogs", "inset": "Code",
    "hover": "Under the pointer", "selected": "Where one is", "line": "Edges",
    "line-strong": "Edges of controls",
    "text": "Text", "text-soft": "Beside it", "text-faint": "Labels", "ink": "The main button",
    "accent": "Focus, running", "ok": "Went well", "warn": "Wants a look", "bad": "Went wrong",
}  # fmt: skip
TYPE = {
    "xl": "Title of a page",
    "l": "Title of a dialog",
    "m": "Text",
    "s": "Tables, controls",
    "xs": "Labels",
}
SPACES = ("s1", "s2", "s3", "s4", "s5", "s6", "s7")
STATUSES = {
    "waiting": "Waiting", "running": "Running", "ok": "Completed", "bad": "Exited", "quiet": "Stopped",
}  # fmt: skip


@require_safe
@login_required
@never_cache
def design(request: HttpRequest) -> HttpResponse:
    context = {"colours": COLOURS, "type": TYPE, "spaces": SPACES, "statuses": STATUSES}
    return page(request, "dashboard/design.html", "design", context)
