"""Errors as pages, for people in a browser."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist
from django.template.loader import select_template
from django.utils.html import format_html

from core import requestid
from core.errors import MagsError

_PLAIN = (
    '<!doctype html><html lang="en"><title>{status} · Mags</title>'
    '<h1>{status}</h1><p>{message}</p><p>{remediation}</p><p><a href="/">Go to the start</a></p>'
    "<p>Request {request_id}</p></html>"
)


def error_page(request: HttpRequest, error: MagsError, headers: Mapping[str, str]) -> HttpResponse:
    """`templates/errors/<status>.html`, else `errors/error.html`, else a few bare lines.

    After a failure of ours the template gets no request: its context processors would ask the
    database, which may be what failed.
    """
    context = {
        "status": error.status,
        "message": error.message,
        "remediation": error.remediation,
        "request_id": requestid.request_id(),
    }
    try:
        template = select_template([f"errors/{error.status}.html", "errors/error.html"])
        text = template.render(context, request if error.status < 500 else None)
    except TemplateDoesNotExist:
        text = format_html(_PLAIN, **context)
    return HttpResponse(text, status=error.status, headers=dict(headers))
