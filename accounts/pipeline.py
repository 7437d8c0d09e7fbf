"""Our steps of social-auth's pipeline, between a provider's verified answer and an account.

Each gets what the ones before it found, by name, and answers what it adds. `user` is the account that the
identity is linked to, or is to be linked to, or None.
"""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from social_django.models import UserSocialAuth

from accounts import invitations
from accounts.audit import harmless
from accounts.identities import is_linked
from accounts.models import User
from accounts.providers import OpenIdConnect
from accounts.selectors import user_by_email
from accounts.sign_in_errors import Refusal, SignInRefused

NAME_CHARACTERS = 150


def person_admitted(
    backend: OpenIdConnect, response: dict[str, Any], user: User | None = None, **_: Any
) -> dict[str, Any]:
    """Refuse whom the rules of this server keep out, at every sign-in: rules change, people leave."""
    email = _verified_email(response, user)
    domain = email.rpartition("@")[2]
    if not backend.is_authority_on(response, domain) and invitations.has_domain_rule():
        domain = ""
    if not invitations.admits_domain(email, domain):
        raise SignInRefused(Refusal.DOMAIN, user, email)
    if user is not None and not user.is_active:
        raise SignInRefused(Refusal.INACTIVE, user, email)
    return {"email": email}


def same_person(user: User | None = None, confirms: int | None = None, **_: Any) -> None:
    """Where somebody confirms that an account is theirs, nothing but an identity of that account will do."""
    if confirms is not None and (user is None or user.pk != confirms):
        raise SignInRefused(Refusal.NOT_LINKED)


def first_of_provider(
    backend: OpenIdConnect,
    email: str,
    user: User | None = None,
    social: UserSocialAuth | None = None,
    **_: Any,
) -> None:
    """Refuse to link a second identity of one provider: it would be a way in that no page shows."""
    if user is not None and social is None and is_linked(user, backend.name):
        raise SignInRefused(Refusal.OTHER_LINKED, user, email)


def account_made(
    backend: OpenIdConnect, response: dict[str, Any], uid: str, email: str, user: User | None = None, **_: Any
) -> dict[str, Any] | None:
    """A new account for a new identity; never one that is there already and has the same e-mail address."""
    if user is not None:
        return None
    holder = user_by_email(email)
    if holder is not None:
        raise SignInRefused(Refusal.EMAIL_TAKEN, holder, email)
    if not invitations.admits_new(email):
        raise SignInRefused(Refusal.NOT_INVITED, email=email)
    name = harmless(str(response.get("name") or ""), NAME_CHARACTERS)
    try:
        # Both or none: nobody could sign in to an account without its identity, nor make another one.
        with transaction.atomic():
            made = User.objects.create_user(email, None, name=name)
            social = UserSocialAuth.objects.create(
                user=made, provider=backend.name, uid=uid, id_key=backend.id_key()
            )
            invitations.accept(email, made)
    except IntegrityError as error:  # somebody was quicker
        raise SignInRefused(Refusal.EMAIL_TAKEN, user_by_email(email), email) from error
    return {"user": made, "social": social, "is_new": True}


def identity_described(social: UserSocialAuth, email: str, **_: Any) -> None:
    """For the page of settings. Nothing is kept that could be used at the provider."""
    social.set_extra_data({"email": email})  # type: ignore[no-untyped-call]


def _verified_email(claims: dict[str, Any], user: User | None) -> str:
    email = claims.get("email")
    # Some providers send JSON's true as a string.
    is_verified = claims.get("email_verified") in (True, "true")
    if not isinstance(email, str) or not is_verified or not _is_plain(email):
        raise SignInRefused(Refusal.UNVERIFIED, user)
    return email.lower()


def _is_plain(email: str) -> bool:
    return email.isprintable() and email.count("@") == 1 and len(email) <= 254 and " " not in email
