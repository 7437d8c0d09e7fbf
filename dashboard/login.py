"""The page to sign in on, with e-mail and password or a provider."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import User
from accounts.providers import providers, redirect_uri
from accounts.selectors import user_by_email
from accounts.sessions import sign_in
from core.errors import Throttled
from dashboard.refusal_words import refusal_words


class SignInForm(AuthenticationForm):
    error_messages = {  # noqa: RUF012 - as Django declares it
        "invalid_login": "That e-mail address and password do not match.",
        "inactive": "This account is switched off. Ask an administrator of this server.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].error_messages["required"] = "Enter your e-mail address."
        self.fields["password"].error_messages["required"] = "Enter your password."

    def clean(self) -> dict[str, Any]:
        if self.errors:  # nothing was tried
            return self.cleaned_data
        try:
            return super().clean()
        except Throttled as error:
            seconds = max(1, round(error.retry_after_s or 0))
            raise ValidationError(
                f"Too many attempts. Try again in {seconds} s.", code="throttled"
            ) from error
        except ValidationError:
            meant = user_by_email(self.cleaned_data["username"])
            note(meant, EventKind.SIGN_IN_FAILED, self.request, method="a password")
            raise


class SignInView(LoginView):
    """Sends on to `next` (only within this site) or to the start page."""

    authentication_form = SignInForm
    template_name = "dashboard/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        assert isinstance(user, User)  # noqa: S101 - there is no other kind; for the type checker
        sign_in(self.request, user, "a password")
        return HttpResponseRedirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        offered = providers()
        is_tried = self.request.method == "POST" or self.request.GET.get("with") == "password"
        return {
            **context,
            "providers": offered,
            "is_form_open": is_tried or not offered,
            "problem": refusal_words(self.request),
            "is_over": self.request.GET.get("done") == "everywhere",
            "google_redirect": redirect_uri("google"),
        }


class SignOutView(LogoutView):
    http_method_names = ["post"]  # noqa: RUF012 - as Django declares it

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if isinstance(request.user, User):
            note(request.user, EventKind.SIGNED_OUT, request)
        return super().post(request, *args, **kwargs)


def safe_next(request: HttpRequest, href: str) -> str:
    """`href` if it leads to this site, else nothing."""
    is_ours = url_has_allowed_host_and_scheme(
        href, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return href if is_ours else ""
