"""The ways that somebody has to sign in, of which one must stay."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest
from social_django.models import UserSocialAuth

from accounts.audit import note
from accounts.errors import LastSignInMethod, NoSuchIdentity
from accounts.event_kinds import EventKind
from accounts.models import User
from accounts.providers import Provider, providers


@dataclass(frozen=True, slots=True)
class Method:
    """A provider, and the account there that is linked, if one is."""

    provider: Provider
    identity: UserSocialAuth | None

    @property
    def email(self) -> str:
        return str(self.identity.extra_data.get("email", "")) if self.identity else ""


def is_linked(user: User, provider: str) -> bool:
    """`provider` is the name of a backend."""
    return UserSocialAuth.objects.filter(user=user, provider=provider).exists()


def methods_of(user: User) -> list[Method]:
    linked = {identity.provider: identity for identity in UserSocialAuth.objects.filter(user=user)}
    return [Method(provider, linked.get(provider.backend.name)) for provider in providers()]


def unlink(user: User, slug: str, request: HttpRequest) -> None:
    """Raises NoSuchIdentity, or LastSignInMethod where nobody could sign in to the account afterwards."""
    with transaction.atomic():
        # Two that are removed at the same moment must not both find the other one there.
        locked = User.objects.select_for_update().get(pk=user.pk)
        linked = [method for method in methods_of(locked) if method.identity]
        chosen = next((method for method in linked if method.provider.slug == slug), None)
        if chosen is None or chosen.identity is None:
            raise NoSuchIdentity
        if len(linked) == 1 and not locked.has_usable_password():
            raise LastSignInMethod
        # Of that provider all, should two have been linked at the same moment.
        UserSocialAuth.objects.filter(user=locked, provider=chosen.identity.provider).delete()
        note(user, EventKind.IDENTITY_UNLINKED, request, provider=chosen.provider.title)
