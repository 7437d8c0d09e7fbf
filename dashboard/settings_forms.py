"""What people change about their account: one form for each."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse

from accounts.audit import harmless, note
from accounts.event_kinds import EventKind
from accounts.identities import unlink
from accounts.models import User
from accounts.pipeline import NAME_CHARACTERS
from accounts.sessions import end_all
from core import bucket
from dashboard.deeds import DeedForm

PASSWORDS_PER_MINUTE = 5  # tries of the present one: whoever finds an open browser must not guess it


class SettingsForm(DeedForm):
    section = ""  # of the page, where it is and where what became of it is told

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        assert isinstance(request.user, User)  # noqa: S101 - login_required; for the type checker
        super().__init__(request.user, data)
        self.request = request

    def next_href(self) -> str:
        return f"{reverse('dashboard:settings')}?done={self.done}#{self.section}"

    def needs_confirmation(self) -> bool:
        """Whether somebody must have shown lately that it is them."""
        return False

    def confirmed_href(self) -> str:
        """Where they try again then. What they had typed is not carried along: it may be a password."""
        return f"{reverse('dashboard:settings')}?done=confirmed#{self.section}"


class ProfileForm(SettingsForm):
    done, section = "profile", "profile"
    name = forms.CharField(required=False, max_length=NAME_CHARACTERS)

    def _perform(self, wanted: dict[str, Any]) -> None:
        name = harmless(wanted["name"], NAME_CHARACTERS)
        if User.objects.filter(pk=self.actor.pk).exclude(name=name).update(name=name):
            note(self.actor, EventKind.PROFILE_CHANGED, self.request)


class PasswordForm(SettingsForm):
    """Changes the password; or sets one, for somebody who has only signed in with a provider so far."""

    done, section = "password", "password"
    present = forms.CharField(required=False, strip=False, max_length=4096)
    wanted = forms.CharField(
        strip=False, max_length=4096, error_messages={"required": "Enter the new password."}
    )
    again = forms.CharField(required=False, strip=False, max_length=4096)

    def needs_confirmation(self) -> bool:
        return not self.actor.has_usable_password()  # else the present one is asked for

    def clean_present(self) -> str:
        present: str = self.cleaned_data["present"]
        if not self.actor.has_usable_password():
            return present
        if bucket.take(f"password:{self.actor.pk}", PASSWORDS_PER_MINUTE, PASSWORDS_PER_MINUTE):
            raise ValidationError("Too many attempts. Try again in a minute.")
        if not self.actor.check_password(present):
            raise ValidationError("This is not your password.")
        return present

    def clean_wanted(self) -> str:
        wanted: str = self.cleaned_data["wanted"]
        validate_password(wanted, self.actor)
        return wanted

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if again != self.data.get("wanted"):
            raise ValidationError("This is not the same as above.")
        return again

    def _perform(self, wanted: dict[str, Any]) -> None:
        self.actor.set_password(wanted["wanted"])
        self.actor.save(update_fields=["password"])
        # Its other sessions end by that; this one goes on under a new key.
        update_session_auth_hash(self.request, self.actor)
        note(self.actor, EventKind.PASSWORD_CHANGED, self.request)


class UnlinkForm(SettingsForm):
    done, section = "unlinked", "methods"
    provider = forms.CharField()

    def needs_confirmation(self) -> bool:
        return True

    def _perform(self, wanted: dict[str, Any]) -> None:
        unlink(self.actor, wanted["provider"], self.request)


class SignOutForm(SettingsForm):
    done, section = "everywhere", "sessions"

    def _perform(self, wanted: dict[str, Any]) -> None:  # noqa: ARG002 - has no fields
        end_all(self.actor, self.request)
        self.request.session.flush()

    def next_href(self) -> str:
        return f"{reverse('dashboard:login')}?done={self.done}"


FORMS: dict[str, type[SettingsForm]] = {
    "profile": ProfileForm,
    "password": PasswordForm,
    "unlink": UnlinkForm,
    "sign_out": SignOutForm,
}
