"""Every write to users and tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.errors import BadToken, EmailTaken, NoSuchToken, TokenExpired, TokenRevoked, UserInactive
from accounts.models import ApiToken, User
from core.database import write_unless_locked
from core.errors import Invalid
from core.prepared import Param, Prepared, part_of

TOKEN_PREFIX = "mags_"  # noqa: S105 - what tokens begin with, not one
SHOWN_CHARACTERS = 12  # of the token's text, to recognise it by: 7 of its 43 random ones
USED_RESOLUTION = timedelta(minutes=1)
_OWNER_COLUMNS = ("email", "name", "is_active", "is_staff", "is_superuser", "created_at")
_TOKEN_BY_DIGEST = Prepared(
    lambda: ApiToken.objects.filter(digest=Param("digest")).annotate(
        **{f"owner_{name}": F(f"owner__{name}") for name in _OWNER_COLUMNS}
    )
)


def user_create(email: str, password: str | None, *, is_admin: bool = False) -> User:
    """A new user; without a password nobody can sign in as them, only their tokens work."""
    if password is not None:
        try:
            validate_password(password)
        except ValidationError as error:
            raise Invalid(" ".join(error.messages), fields={"password": " ".join(error.messages)}) from error
    try:
        with transaction.atomic():
            return User.objects.create_user(email.lower(), password, is_staff=is_admin, is_superuser=is_admin)
    except IntegrityError as error:
        raise EmailTaken from error


def token_create(owner: User, name: str, expires_at: datetime | None = None) -> tuple[ApiToken, str]:
    """A new token and its text, which is not stored and cannot be shown again."""
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        owner=owner,
        name=name,
        prefix=text[:SHOWN_CHARACTERS],
        digest=_digest(text),
        expires_at=expires_at,
    )
    return token, text


def token_revoke(owner: User, token_id: int) -> None:
    """Refuse the token from now on. Revoking it again is fine."""
    tokens = ApiToken.objects.filter(owner=owner, pk=token_id)
    if not tokens.filter(revoked_at__isnull=True).update(revoked_at=timezone.now()) and not tokens.exists():
        raise NoSuchToken


def token_authenticate(text: str) -> ApiToken:
    """The live token with this text, its owner loaded. One query, and one write a minute."""
    token = _TOKEN_BY_DIGEST.first(digest=_digest(text))
    if token is None:
        raise BadToken
    read = {name: vars(token)[f"owner_{name}"] for name in _OWNER_COLUMNS}
    token.owner = part_of(User, id=token.owner_id, **read)
    if token.revoked_at is not None:
        raise TokenRevoked
    now = timezone.now()
    if token.expires_at is not None and token.expires_at <= now:
        raise TokenExpired
    if not token.owner.is_active:
        raise UserInactive
    if token.last_used_at is None or token.last_used_at <= now - USED_RESOLUTION:
        _note_use(token, now)
    return token


def _note_use(token: ApiToken, now: datetime) -> None:
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USED_RESOLUTION)
    # Skipped when the row or the database is locked: the next request will do.
    write_unless_locked(ApiToken.objects.filter(stale, pk=token.pk), last_used_at=now)


def _digest(text: str) -> str:
    # Plain SHA-256: the text has 256 random bits, so there is nothing to guess and no need of a slow hash.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
