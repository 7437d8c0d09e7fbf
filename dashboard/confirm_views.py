"""The page on which somebody who is signed in shows once more that it is them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.api.actor import actor_of
from accounts.audit import note
from accounts.confirmation import confirm, is_confirmed
from accounts.event_kinds import EventKind
from accounts.identities import methods_of
from accounts.models import User
from core.errors import Throttled
from dashboard.login import safe_next
from dashboard.refusal_words import refusal_words


class ConfirmForm(forms.Form):
    password = forms.CharField(
        strip=False, max_length=4096, error_messages={"required": "Enter your password."}
    )

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        super().__init__(data)
        self.request = request

    def clean_password(self) -> User:
        """The account whose it is, instead of it: nobody needs it any more."""
        actor, given = actor_of(self.request), self.cleaned_data["password"]
        try:
            found = authenticate(self.request, username=actor.email, password=given)
        except Throttled as error:
            seconds = max(1, round(error.retry_after_s or 0))
            raise ValidationError(f"Too many attempts. Try again in {seconds} s.") from error
        if not isinstance(found, User) or found != actor:
            note(actor, EventKind.CONFIRM_FAILED, self.request, method="a password")
            raise ValidationError("This is not your password.")
        return found


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def confirm_page(request: HttpRequest) -> HttpResponse:
    """Sends on to `next` (only within this site), or to the settings."""
    form = ConfirmForm(request, request.POST if request.method == "POST" else None)
    wanted = request.POST.get("next", request.GET.get("next", ""))
    next_href = safe_next(request, wanted) or reverse("dashboard:settings")
    if form.is_valid():
        confirm(request, form.cleaned_data["password"], "a password")
    if is_confirmed(request):
        return HttpResponseRedirect(next_href)  # never a view's name
    return _shown(request, form, next_href)


def confirm_href(next_href: str) -> str:
    """Where to send somebody who is to come back to `next_href` afterwards."""
    return f"{reverse('dashboard:confirm')}?{urlencode({'next': next_href})}"


def _shown(request: HttpRequest, form: ConfirmForm, next_href: str) -> HttpResponse:
    actor = actor_of(request)
    linked = [method.provider for method in methods_of(actor) if method.identity]
    context = {
        "form": form,
        "next": next_href,
        "person": actor,
        "has_password": actor.has_usable_password(),
        "providers": linked,
        "problem": None if form.is_bound else refusal_words(request),
        "minutes": settings.CONFIRMED_MINUTES,
    }
    return render(request, "dashboard/confirm.html", context, status=400 if form.is_bound else 200)
