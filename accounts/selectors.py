"""Every read of users and tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from accounts.errors import TokenExpired, TokenRevoked, UserInactive
from accounts.models import ApiToken, SecurityEvent, User
from core.errors import MagsError


def tokens_of(actor: User) -> QuerySet[ApiToken]:
    """The actor's tokens; where they act with one for a workspace, those for it."""
    mine = ApiToken.objects.filter(owner=actor)
    return mine.filter(workspace_name=actor.only_workspace) if actor.only_workspace else mine


def token_list(actor: User) -> QuerySet[ApiToken]:
    """Those that are not revoked, newest first."""
    return tokens_of(actor).filter(revoked_at__isnull=True).order_by("-created_at", "-id")


def tokens_refused(ids: Collection[int]) -> dict[int, MagsError]:
    """Of these tokens, the ones that do not count any more, and why."""
    now = timezone.now()
    rows = ApiToken.objects.filter(pk__in=ids).values_list(
        "pk", "revoked_at", "expires_at", "owner__is_active"
    )
    found = {pk: refusal_of(revoked, expires, is_active, now) for pk, revoked, expires, is_active in rows}
    verdicts = {pk: found.get(pk, TokenRevoked()) for pk in ids}  # a deleted one is as good as revoked
    return {pk: refusal for pk, refusal in verdicts.items() if refusal is not None}


def refusal_of(
    revoked_at: datetime | None, expires_at: datetime | None, is_owner_active: bool, now: datetime
) -> MagsError | None:
    """Why a token does not count, if so."""
    if revoked_at is not None:
        return TokenRevoked()
    if expires_at is not None and expires_at <= now:
        return TokenExpired()
    return None if is_owner_active else UserInactive()


def event_list(user: User) -> QuerySet[SecurityEvent]:
    """What happened to their account, newest first."""
    return SecurityEvent.objects.filter(user=user).order_by("-id")


def user_by_email(email: str) -> User | None:
    return User.objects.filter(email__iexact=email).first()
