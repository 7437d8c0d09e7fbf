"""Signing in with e-mail and password, and how often one may try."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError

from core import bucket

# Over all addresses one account may be tried more often than from one: whoever guesses at it must not
# be able to lock its owner out from elsewhere.
ACCOUNT_SHARE = 5


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
        wait_s = self._take()
        if wait_s:
            seconds = max(1, round(wait_s))
            raise ValidationError(f"Too many attempts. Try again in {seconds} s.", code="throttled")
        return super().clean()

    def _take(self) -> float:
        limit: int = settings.LOGIN_ATTEMPTS_PER_MINUTE
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        account = self.cleaned_data["username"].lower()
        return bucket.take(f"login:address:{address}", limit, limit) or bucket.take(
            f"login:account:{account}", limit * ACCOUNT_SHARE, limit * ACCOUNT_SHARE
        )


class SignInView(LoginView):
    """Sends on to `next` (only within this site) or to the jobs."""

    authentication_form = SignInForm
    template_name = "dashboard/login.html"
    redirect_authenticated_user = True
