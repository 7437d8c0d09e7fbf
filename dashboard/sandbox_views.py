"""The page of what lives now."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.api.actor import actor_of
from dashboard import selectors
from dashboard.pages import PAGE_SIZE, address, page, searched
from dashboard.sandbox_cards import sandbox_card


@require_safe
@login_required
@never_cache
def sandboxes(request: HttpRequest) -> HttpResponse:
    actor, text = actor_of(request), searched(request)
    shown = Paginator(selectors.jobs_alive(actor, text), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "sandboxes": [sandbox_card(job, live) for job, live in selectors.with_sandboxes(shown)],
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "has_sandboxes": bool(shown.object_list) or selectors.jobs_alive(actor, "").exists(),
        "q": text,
        "example": (
            f"export MAGS_API_URL={settings.PUBLIC_URL} MAGS_API_TOKEN=mags_…\n"
            "mags new my-space\nmags exec my-space 'uname -a'\nmags ssh my-space"
        ),
    }
    return page(request, "dashboard/sandboxes.html", "sandboxes", context)
