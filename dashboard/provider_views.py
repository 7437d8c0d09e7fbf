"""To a provider and back."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import provider_sign_in
from accounts.audit import note
from accounts.backends import ACCOUNT_SHARE
from accounts.confirmation import is_confirmed
from accounts.event_kinds import EventKind
from accounts.models import User
from accounts.providers import Provider, providers
from accounts.sign_in_errors import Refusal, SignInRefused
from accounts.wishes import Wish
from core import bucket
from core.addresses import client_address
from dashboard.confirm_views import confirm_href
from dashboard.login import safe_next

# The form goes to ourselves, and a page of ours goes on: `form-action` of the Content-Security-Policy counts
# for wherever a form's answer redirects to, and providers redirect as they like (docs/decisions/1210).
ON_THE_WAY = "dashboard/login_leaving.html"
CONFIRMED_HREF = "/settings/?done=confirmed#methods"


@require_POST
@never_cache
def begin(request: HttpRequest, provider: str) -> HttpResponse:
    """By POST, with CSRF: nobody else can start it in somebody's browser."""
    chosen = _chosen(provider)
    is_linking, is_confirming = "link" in request.POST, "confirm" in request.POST
    if (is_linking or is_confirming) and not request.user.is_authenticated:
        return redirect("dashboard:login")
    if is_linking and not is_confirmed(request):
        return redirect(confirm_href(CONFIRMED_HREF))
    wish = Wish(
        next_href=safe_next(request, request.POST.get("next", "")),
        links_to=request.user.pk if is_linking else None,
        confirms=request.user.pk if is_confirming else None,
    )
    try:
        _take(request)
        href = provider_sign_in.begin(request, chosen, wish)
    except SignInRefused as refused:
        return _refused(request, chosen, wish, refused)
    return render(request, ON_THE_WAY, {"href": href, "provider": chosen})


@require_http_methods(["GET"])
@never_cache
def answer(request: HttpRequest, provider: str) -> HttpResponse:
    """Whom the provider sends back."""
    chosen = _chosen(provider)
    wish = provider_sign_in.wish_of(request, chosen)
    try:
        _take(request)
        provider_sign_in.complete(request, chosen, wish)
    except SignInRefused as refused:
        return _refused(request, chosen, wish, refused)
    if wish.links_to is not None:
        return redirect(f"{reverse('dashboard:settings')}?done=linked#methods")
    return HttpResponseRedirect(wish.next_href or settings.LOGIN_REDIRECT_URL)  # never a view's name


def _chosen(slug: str) -> Provider:
    for provider in providers():
        if provider.slug == slug:
            return provider
    raise Http404


def _take(request: HttpRequest) -> None:
    """Each attempt writes to the database, and anybody can make one."""
    limit: int = settings.LOGIN_ATTEMPTS_PER_MINUTE * ACCOUNT_SHARE
    if bucket.take(f"login:provider:{client_address(request)}", limit, limit):
        raise SignInRefused(Refusal.THROTTLED)


def _refused(request: HttpRequest, provider: Provider, wish: Wish, refused: SignInRefused) -> HttpResponse:
    actor = request.user if isinstance(request.user, User) else None
    if refused.refusal != Refusal.THROTTLED:
        note(
            refused.user or actor, EventKind.SIGN_IN_FAILED, request,
            method=provider.title, reason=refused.refusal, email=refused.email,
        )  # fmt: skip
    told = {"problem": refused.refusal.value, "provider": provider.slug}
    if wish.confirms is not None:
        return redirect(f"{confirm_href(wish.next_href)}&{urlencode(told)}")
    if actor is not None:
        return redirect(f"{reverse('dashboard:settings')}?{urlencode(told)}#methods")
    if refused.refusal == Refusal.EMAIL_TAKEN:
        told["with"] = "password"
    if wish.next_href:
        told["next"] = wish.next_href
    return redirect(f"{reverse('dashboard:login')}?{urlencode(told)}")
