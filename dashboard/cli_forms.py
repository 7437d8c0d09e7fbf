"""What a person lets a command line have."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import forms
from django.utils import timezone

from accounts.cli_logins import CHALLENGE, Asking, TokenWish, is_loopback
from accounts.scopes import WORKSPACE_NAME, Scope
from core.errors import Invalid

# What each scope means, in a sentence.
SCOPE_CHOICES = (
    (Scope.READ.value, "Read", "Looks at jobs, output and files, and changes nothing."),
    (Scope.RUN.value, "Run", "Also runs and stops jobs, gives commands, and opens URLs and SSH."),
    (Scope.ADMIN.value, "Admin", "Also makes and revokes tokens, with any of these scopes."),
)
EXPIRY_CHOICES = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Never"))
EXPIRY_DEFAULT = "90"


class LoopbackQuery(forms.Form):
    """What `mags login` puts behind the question mark. Somebody else may have made the link."""

    redirect_uri = forms.CharField(max_length=200)
    state = forms.RegexField(r"^[A-Za-z0-9_-]{16,128}\Z", strip=False)
    code_challenge = forms.RegexField(f"^{CHALLENGE.pattern}\\Z", strip=False)
    code_challenge_method = forms.ChoiceField(choices=[("S256", "S256")])
    host_name = forms.CharField(max_length=100)
    system = forms.CharField(max_length=60)

    def clean_redirect_uri(self) -> str:
        address: str = self.cleaned_data["redirect_uri"]
        if not is_loopback(address):
            raise forms.ValidationError("is not an address of a command line on this machine")
        return address

    def asking(self, address: str) -> Asking:
        return Asking.told(self.cleaned_data["host_name"], self.cleaned_data["system"], address)

    def problem(self) -> Invalid | None:
        """Why nothing may be shown or sent anywhere."""
        if self.is_valid():
            return None
        wrong = [f"{name}: {error.messages[0]}" for name, [error, *_] in self.errors.as_data().items()]
        return Invalid(
            "; ".join(wrong),
            remediation="Run `mags login` in your own terminal, and use the page that it opens.",
        )


class ConsentForm(forms.Form):
    name = forms.CharField(
        max_length=100,
        error_messages={"required": "Enter a name.", "max_length": "Enter at most 100 characters."},
    )
    scope = forms.ChoiceField(choices=[(value, label) for value, label, _ in SCOPE_CHOICES])
    expires_days = forms.ChoiceField(choices=EXPIRY_CHOICES, required=False)
    workspace = forms.RegexField(
        WORKSPACE_NAME, required=False, error_messages={"invalid": "No workspace can have this name."}
    )

    def needs_confirmation(self) -> bool:
        """Such a token makes others, and so outlives the session that it was made in."""
        return bool(self.cleaned_data["scope"] == Scope.ADMIN)

    def wish(self) -> TokenWish:
        given = self.cleaned_data
        return TokenWish(given["name"], self._expires_at(), (given["scope"],), given["workspace"])

    def _expires_at(self) -> datetime | None:
        days = self.cleaned_data["expires_days"]
        return timezone.now() + timedelta(days=int(days)) if days else None
