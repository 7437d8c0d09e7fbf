"""One's own account."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.api.actor import actor_of
from accounts.confirmation import is_confirmed
from accounts.identities import methods_of
from accounts.selectors import event_list
from core.errors import Invalid
from dashboard.confirm_views import confirm_href
from dashboard.event_words import event_row
from dashboard.pages import PAGE_SIZE, address, page
from dashboard.refusal_words import refusal_words
from dashboard.settings_forms import FORMS, SettingsForm

DONE = {
    "profile": "Your name is saved.",
    "password": "Your password is changed, and you are signed out everywhere else. Your tokens still work.",
    "linked": "Linked. You can sign in with it from now on.",
    "confirmed": "Confirmed. Go on with what you wanted to do.",
    "unlinked": "Unlinked. Nobody can sign in to your account with it any more.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def settings_page(request: HttpRequest) -> HttpResponse:
    """Its forms come here too, so that what they say is on the page they were sent from."""
    if request.method != "POST":
        return _shown(request)
    kind = FORMS.get(request.POST.get("action", ""))
    if kind is None:
        raise Invalid
    form = kind(request, request.POST)
    if form.needs_confirmation() and not is_confirmed(request):
        return redirect(confirm_href(form.confirmed_href()))
    if form.perform():
        return redirect(form.next_href())
    return _shown(request, form)


def _shown(request: HttpRequest, sent: SettingsForm | None = None) -> HttpResponse:
    actor = actor_of(request)
    methods = methods_of(actor)
    shown = Paginator(event_list(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    linked = sum(method.identity is not None for method in methods)
    context = {
        "person": actor,
        "methods": methods,
        "has_password": actor.has_usable_password(),
        "can_unlink": linked + actor.has_usable_password() > 1,
        "forms": {name: sent if isinstance(sent, kind) else kind(request) for name, kind in FORMS.items()},
        "refusal": refusal_words(request) if sent is None else None,
        "events": [event_row(event) for event in shown],
        "page": shown,
        "newer_href": f"{address(request, page=shown.number - 1)}#events",
        "older_href": f"{address(request, page=shown.number + 1)}#events",
        "done": DONE.get(request.GET.get("done", "")) if sent is None else None,
    }
    return page(request, "dashboard/settings.html", "settings", context, status=sent.status if sent else 200)
