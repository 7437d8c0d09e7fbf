"""Every read of users and tokens."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import ApiToken, User


def token_list(owner: User) -> QuerySet[ApiToken]:
    """The owner's tokens that are not revoked, newest first."""
    return ApiToken.objects.filter(owner=owner, revoked_at__isnull=True).order_by("-created_at", "-id")


def user_by_email(email: str) -> User | None:
    return User.objects.filter(email__iexact=email).first()
