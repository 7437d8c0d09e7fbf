"""The way to a provider and back (OpenID Connect, authorization code with PKCE, state and nonce)."""

from __future__ import annotations

import logging
from typing import cast

from django.http import HttpRequest
from social_core.exceptions import SocialAuthBaseException
from social_django.utils import load_strategy

from accounts.audit import note
from accounts.confirmation import confirm
from accounts.event_kinds import EventKind
from accounts.models import User
from accounts.providers import OpenIdConnect, Provider
from accounts.sessions import sign_in
from accounts.sign_in_errors import Refusal, SignInRefused
from accounts.wishes import Wish

logger = logging.getLogger(__name__)

# By the codes of social_core.exceptions; all others are mistakes of the provider's or in our settings.
REFUSALS = {
    "authorization_declined": Refusal.DENIED,
    "identity_in_use": Refusal.IDENTITY_TAKEN,
    **dict.fromkeys(
        (
            "authorization_code_rejected", "missing_parameter", "nonce_mismatch", "response_expired",
            "session_context_missing", "state_mismatch",
        ),
        Refusal.EXPIRED,
    ),
    **dict.fromkeys(("connection_failed", "rate_limited", "timeout", "unavailable"), Refusal.UNAVAILABLE),
}  # fmt: skip


def begin(request: HttpRequest, provider: Provider, wish: Wish) -> str:
    """The provider's address to go to. Raises SignInRefused."""
    backend = _backend(request, provider)
    backend.wish = wish
    try:
        return str(backend.auth_url())
    except Exception as error:
        raise _refused(provider, error) from error


def wish_of(request: HttpRequest, provider: Provider) -> Wish:
    """What whoever comes back from the provider had wanted, also where they are refused."""
    return _backend(request, provider).wish_of_answer()


def complete(request: HttpRequest, provider: Provider, wish: Wish) -> None:
    """Sign in whom the provider sends back, or link the identity to who is signed in, or take it as proof
    that they are who they were.

    Raises SignInRefused. No transaction is around all of it: it waits for the provider.
    """
    actor = request.user if isinstance(request.user, User) else None
    meant = wish.links_to or wish.confirms
    if meant is not None and (actor is None or actor.pk != meant):
        raise SignInRefused(Refusal.OTHER_PERSON, actor)
    linked = actor if wish.links_to else None
    try:
        user = cast("User", _backend(request, provider).complete(user=linked, confirms=wish.confirms))
    except SignInRefused:
        raise
    except Exception as error:
        raise _refused(provider, error) from error
    _note_news(request, provider, user, is_linking=linked is not None)
    if wish.confirms is not None:
        confirm(request, user, provider.title)
    elif linked is None:
        sign_in(request, user, provider.title)


def _note_news(request: HttpRequest, provider: Provider, user: User, *, is_linking: bool) -> None:
    if user.is_new:  # type: ignore[attr-defined]  # social-auth's
        note(user, EventKind.ACCOUNT_CREATED, request, provider=provider.title)
    elif is_linking:
        note(user, EventKind.IDENTITY_LINKED, request, provider=provider.title)


def _backend(request: HttpRequest, provider: Provider) -> OpenIdConnect:
    return provider.backend(load_strategy(request), provider.redirect_uri)  # type: ignore[no-untyped-call]


def _refused(provider: Provider, error: Exception) -> SignInRefused:
    """Whatever a provider answers must not become a failure of ours."""
    if not isinstance(error, SocialAuthBaseException):
        logger.exception("signing in with %s failed", provider.slug)
        return SignInRefused(Refusal.MISCONFIGURED)
    refusal = REFUSALS.get(error.code, Refusal.MISCONFIGURED)
    logger.warning(
        "signing in with %s was refused: %s at %s (claim %s, provider's code %r) %s",
        provider.slug, error.code, error.stage, error.claim, error.provider_code, error.detail,
    )  # fmt: skip
    return SignInRefused(refusal)
