"""The start page: what runs now, what ran last, and the first steps."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.api.actor import actor_of
from accounts.models import User
from accounts.selectors import token_list
from dashboard import selectors
from dashboard.composer import composer_context
from dashboard.job_rows import job_rows
from dashboard.pages import API, page
from dashboard.sandbox_cards import SandboxCard, sandbox_card
from dashboard.snippets import first_steps
from jobs.states import JOB_FINAL

SHOWN = 8  # of each kind
LINKS = (
    {"label": "Documentation", "href": "/docs/"},
    {"label": "API reference", "href": "/api/docs/"},
)


@require_safe
@login_required
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    running = selectors.jobs_unfinished(actor)
    recent = job_rows(selectors.jobs_with_heads(actor).filter(status__in=JOB_FINAL)[:SHOWN])
    running_shown = job_rows(running[: SHOWN + 1])
    context = {
        "running": running_shown[:SHOWN],
        "has_more_running": len(running_shown) > SHOWN,
        "recent": recent,
        "sandboxes": _sandboxes(actor),
        "has_jobs": bool(running_shown or recent),
        "has_tokens": token_list(actor).exists(),
        "steps": first_steps(),
        "links": LINKS,
        "tokens_href": f"{API}/auth/tokens",
        **composer_context(request),
    }
    return page(request, "dashboard/home.html", "home", context)


def _sandboxes(actor: User) -> list[SandboxCard]:
    """Those that stay; what lives with its script is among the jobs."""
    staying = selectors.jobs_alive(actor, "").filter(is_persistent=True)[:SHOWN]
    return [sandbox_card(job, live) for job, live in selectors.with_sandboxes(staying)]
