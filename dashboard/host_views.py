"""The pages of the machines that run sandboxes, for staff."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.api.actor import actor_of
from core.errors import Invalid
from dashboard import host_selectors
from dashboard.host_cards import event_lines, host_card, occupants
from dashboard.host_forms import FORMS, HostForm
from dashboard.pages import PAGE_SIZE, address, page
from dashboard.staff import staff_only
from hosts.services import enrolment_token_create

SECTION = "hosts"
TOKEN_LIFETIME = timedelta(hours=24)
SETUP = "python3 -m deploy setup\n.venv/bin/python -m hostagent doctor"
SHOWN = 100  # of what runs on one host
EVENTS_SHOWN = 20
DONE = {
    "drained": "The host gets nothing new. What runs there goes on; idle sandboxes are saved and move.",
    "undrained": "The host takes work again.",
    "revoked": "The host is revoked. What ran there is given up within seconds.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@staff_only
@never_cache
def hosts(request: HttpRequest) -> HttpResponse:
    """The list. A POST makes a token for one new host: its text is on this one answer and nowhere else."""
    token = enrolment_token_create(TOKEN_LIFETIME) if request.method == "POST" else ""
    shown = Paginator(host_selectors.hosts_with_load(), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "hosts": [host_card(host) for host in shown],
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "enrolment": _enrolment(token) if token else "",
        "setup": SETUP,
        "token_hours": TOKEN_LIFETIME // timedelta(hours=1),
    }
    return page(request, "dashboard/hosts.html", SECTION, context)


@require_http_methods(["GET", "HEAD", "POST"])
@staff_only
@never_cache
def host(request: HttpRequest, host_id: UUID) -> HttpResponse:
    """One host. Its forms come here too, so that what they say is on the page they were sent from."""
    found = host_selectors.hosts_with_load().filter(pk=host_id).first()
    if found is None:
        raise Http404
    form: HostForm | None = None
    if request.method == "POST":
        kind = FORMS.get(request.POST.get("action", ""))
        if kind is None:
            raise Invalid
        form = kind(actor_of(request), found, request.POST)
        if form.perform():
            return redirect(f"{reverse('dashboard:host', args=[host_id])}?done={form.done}#main")
    context = {
        "card": host_card(found),
        "occupants": occupants(
            host_selectors.leases_on(found)[:SHOWN], host_selectors.sandboxes_idle_on(found)[:SHOWN]
        ),
        "events": event_lines(host_selectors.host_events(found)[:EVENTS_SHOWN]),
        "problem": form.problem if form else None,
        "done": DONE.get(request.GET.get("done", "")) if form is None else None,
        "lease_s": settings.HOST_LEASE_S,
    }
    return page(request, "dashboard/host.html", SECTION, context, status=form.status if form else 200)


def _enrolment(token: str) -> str:
    """What is typed on the new machine (docs/howto/add-a-host.md)."""
    return (
        f"export MAGS_AGENT_SERVER_URL={settings.PUBLIC_URL}\n"
        f'.venv/bin/python -m hostagent enrol --server "$MAGS_AGENT_SERVER_URL" --token {token}'
    )
