"""Where a request comes from."""

from __future__ import annotations

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The visitor's address; behind a proxy that of who connected to it; empty where there is none.

    A proxy adds the address that it sees at the end of `X-Forwarded-For`. What stands before that is the
    visitor's own word and counts for nothing.
    """
    if settings.BEHIND_PROXY:
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if _is_address(forwarded):
            return forwarded
    direct: str = request.META.get("REMOTE_ADDR", "")
    return direct if _is_address(direct) else ""


def _is_address(text: str) -> bool:
    try:
        # An IPv6 zone is a name that anybody may choose.
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False
