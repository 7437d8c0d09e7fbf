"""How the installation is: a page for staff, and /metrics for Prometheus."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core.errors import Unauthorized
from dashboard import metrics
from dashboard.health import checks, worst
from dashboard.pages import page
from dashboard.staff import staff_only

SECTION = "hosts"


@require_safe
@staff_only
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    found = checks()
    return page(request, "dashboard/health.html", SECTION, {"checks": found, "worst": worst(found)})


@require_safe
@never_cache
def metrics_text(request: HttpRequest) -> HttpResponse:
    """With MAGS_METRICS_TOKEN to whoever shows it; without, to this machine only, and not through a proxy."""
    if settings.METRICS_TOKEN:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(
            token.encode(), settings.METRICS_TOKEN.encode()
        ):
            raise Unauthorized("The metrics need the token of MAGS_METRICS_TOKEN.")
    elif not _is_from_here(request):
        raise Http404
    return HttpResponse(metrics.text(), content_type=metrics.CONTENT_TYPE)


def _is_from_here(request: HttpRequest) -> bool:
    # A proxy on this machine connects from here too, for anybody; it says so.
    is_forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    try:
        return not is_forwarded and ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
