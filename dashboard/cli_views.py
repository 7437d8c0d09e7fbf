"""Pages on which somebody who is signed in lets `mags login` have a token. Opening one decides nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import cli_logins
from accounts.api.actor import actor_of
from accounts.cli_logins import Asking
from accounts.confirmation import is_confirmed
from accounts.errors import NoSuchUserCode
from core import bucket
from core.addresses import client_address
from core.errors import MagsError, Throttled
from dashboard.cli_forms import (
    EXPIRY_CHOICES,
    EXPIRY_DEFAULT,
    SCOPE_CHOICES,
    ConsentForm,
    LoopbackQuery,
)
from dashboard.confirm_views import confirm_href

TRIES_PER_MINUTE = 10  # of one person to type a code


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def loopback(request: HttpRequest) -> HttpResponse:
    """Consent for a command on the machine of this browser."""
    if not request.GET:  # typed by hand
        return redirect("dashboard:device")
    query = LoopbackQuery(request.GET)
    if problem := query.problem():
        return render(request, "dashboard/cli_refused.html", {"problem": problem}, status=problem.status)
    given = query.cleaned_data
    asking = query.asking(client_address(request))
    code = cli_logins.comparison_code(given["code_challenge"])
    if request.method != "POST":
        return _consent(request, asking, code)
    if "deny" in request.POST:
        cli_logins.loopback_deny(actor_of(request), asking, request)
        return _back(request, given, error="access_denied")
    form = ConsentForm(request.POST)
    if not form.is_valid():
        return _consent(request, asking, code, form)
    if form.needs_confirmation() and not is_confirmed(request):
        return redirect(confirm_href(request.get_full_path()))
    granted = cli_logins.loopback_consent(
        actor_of(request), asking, given["code_challenge"], given["redirect_uri"], form.wish(), request
    )
    return _back(request, given, code=granted)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def device(request: HttpRequest) -> HttpResponse:
    """Type the code of a command on another machine, then consent."""
    typed = request.POST.get("user_code", "")
    if request.method != "POST":
        return render(request, "dashboard/device.html", {"typed": ""})
    try:
        _count_try(request)
        login = cli_logins.device_find(typed)
        asking = Asking(login.host_name, login.system, login.address)
        form = ConsentForm(request.POST)
        if "deny" in request.POST:
            cli_logins.device_deny(login, actor_of(request), request)
            return _done(request, is_denied=True)
        if "approve" not in request.POST or not form.is_valid():
            return _consent(
                request, asking, typed, form if "approve" in request.POST else None, is_device=True
            )
        if form.needs_confirmation() and not is_confirmed(request):
            return redirect(confirm_href(request.path))
        cli_logins.device_consent(login, actor_of(request), form.wish(), request)
    except (NoSuchUserCode, Throttled) as error:
        return _typed_wrong(request, typed, error)
    return _done(request)


@require_safe
@never_cache
def done(request: HttpRequest) -> HttpResponse:
    """Where the command sends the browser once it has its answer."""
    return _done(request, is_denied="denied" in request.GET)


def _count_try(request: HttpRequest) -> None:
    wait_s = bucket.take(f"device:{actor_of(request).pk}", TRIES_PER_MINUTE, TRIES_PER_MINUTE)
    if wait_s:
        raise Throttled("Too many codes were tried.", retry_after_s=wait_s)


def _consent(
    request: HttpRequest,
    asking: Asking,
    code: str,
    sent: ConsentForm | None = None,
    *,
    is_device: bool = False,
) -> HttpResponse:
    name = f"mags on {asking.host_name}"[:100]
    form = sent or ConsentForm({"name": name, "scope": "run", "expires_days": EXPIRY_DEFAULT})
    context: dict[str, Any] = {
        "asking": asking,
        "code": code.upper() if is_device else code,
        "is_device": is_device,
        "form": form,
        "is_sent": sent is not None,
        "scopes": SCOPE_CHOICES,
        "expiries": EXPIRY_CHOICES,
        "server": settings.PUBLIC_URL,
    }
    return render(request, "dashboard/consent.html", context, status=400 if sent else 200)


def _typed_wrong(request: HttpRequest, typed: str, error: MagsError) -> HttpResponse:
    context = {"typed": typed[:20], "problem": error}
    return render(request, "dashboard/device.html", context, status=error.status)


def _back(request: HttpRequest, given: dict[str, Any], **answer: str) -> HttpResponse:
    """To the command. Not as a redirect: the policy `form-action 'self'` forbids those that follow a form."""
    address = f"{given['redirect_uri']}?{urlencode({**answer, 'state': given['state']})}"
    return render(request, "dashboard/cli_back.html", {"address": address, "is_denied": "error" in answer})


def _done(request: HttpRequest, *, is_denied: bool = False) -> HttpResponse:
    return render(request, "dashboard/cli_done.html", {"is_denied": is_denied})
