"""The page of names for public URLs."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.api.actor import actor_of
from accounts.models import User
from aliases.selectors import alias_list
from core.errors import Invalid
from core.labels import label_url
from dashboard import selectors
from dashboard.alias_forms import FORMS, CreateForm
from dashboard.deeds import DeedForm
from dashboard.pages import PAGE_SIZE, address, page

SUGGESTED = 200  # workspaces to choose from
DONE = {
    "created": "The alias leads to its workspace from now on.",
    "released": "The alias is released. For some weeks nobody but you can have it again.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def aliases(request: HttpRequest) -> HttpResponse:
    """The list. Its forms come here too, so that what they say is on the page they were sent from."""
    actor = actor_of(request)
    if request.method != "POST":
        return _shown(request, actor)
    kind = FORMS.get(request.POST.get("action", ""))
    if kind is None:
        raise Invalid
    form = kind(actor, request.POST)
    if form.perform():
        return redirect(f"{reverse('dashboard:aliases')}?done={form.done}#main")
    return _shown(request, actor, form)


def _shown(request: HttpRequest, actor: User, sent: DeedForm | None = None) -> HttpResponse:
    shown = Paginator(alias_list(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    before, _, after = label_url("{label}").partition("{label}")
    context = {
        "aliases": [{"alias": alias, "url": label_url(alias.name)} for alias in shown],
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "form": sent if isinstance(sent, CreateForm) else CreateForm(actor),
        "problem": sent.problem if sent else None,
        "workspaces": selectors.workspaces_named(actor, "").values_list("name", flat=True)[:SUGGESTED],
        "wanted": request.GET.get("workspace", ""),
        "url_before": before,
        "url_after": after,
        "quarantine_days": settings.ALIAS_QUARANTINE_DAYS,
        "done": DONE.get(request.GET.get("done", "")) if sent is None else None,
    }
    return page(request, "dashboard/aliases.html", "aliases", context, status=sent.status if sent else 200)
