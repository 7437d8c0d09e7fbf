"""Every write to users and tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils import timezone

from accounts.audit import note
from accounts.errors import BadToken, EmailTaken, MissingScope, NoSuchToken, OutsideWorkspace
from accounts.event_kinds import EventKind
from accounts.models import ApiToken, User
from accounts.scopes import SCOPES, Scope, with_parts
from accounts.selectors import refusal_of, tokens_of
from core import credentials
from core.addresses import client_address
from core.database import write_unless_locked
from core.errors import Invalid
from core.live import Topic, tell
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


def token_create(
    owner: User,
    name: str,
    expires_at: datetime | None = None,
    *,
    scopes: Iterable[str] = SCOPES,
    workspace_name: str = "",
    request: HttpRequest | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its text, which is not stored and cannot be shown again. Raises OutsideWorkspace where
    the owner acts with a token for one workspace, and this would be for more."""
    own = owner.only_workspace
    if own and workspace_name not in {"", own}:
        words = f"A token for the workspace {own} makes tokens for that workspace only."
        raise OutsideWorkspace(words, fields={"workspace": f"must be {own}, or left out"})
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        owner=owner,
        name=name,
        prefix=text[:SHOWN_CHARACTERS],
        digest=_digest(text),
        expires_at=expires_at,
        scopes=with_parts(scopes),
        workspace_name=own or workspace_name,
    )
    note(owner, EventKind.TOKEN_CREATED, request, token=name, prefix=token.prefix, scope=token.scopes[-1])
    tell(owner.pk, Topic.TOKENS)
    return token, text


def token_revoke(owner: User, token_id: int, request: HttpRequest | None = None) -> None:
    """Refuse the token from now on, and end what it holds open. Revoking it again is fine."""
    token = tokens_of(owner).filter(pk=token_id).first()
    if token is None:
        raise NoSuchToken
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token_id, revoked_at__isnull=True).update(revoked_at=timezone.now()):
            note(owner, EventKind.TOKEN_REVOKED, request, token=token.name, prefix=token.prefix)
            credentials.changed()
            tell(owner.pk, Topic.TOKENS)


def token_require(token: ApiToken, needed: Scope) -> None:
    """Raises MissingScope unless the token may be used for that."""
    if needed not in token.scopes:
        raise MissingScope(f"This token has not the scope `{needed}`, which this needs.")


def token_authenticate(text: str, request: HttpRequest | None = None) -> ApiToken:
    """The live token with this text, its owner loaded. One query, and one write a minute: when it was used
    last, and where the request came from."""
    token = _TOKEN_BY_DIGEST.first(digest=_digest(text))
    if token is None:
        raise BadToken
    read = {name: vars(token)[f"owner_{name}"] for name in _OWNER_COLUMNS}
    token.owner = part_of(User, id=token.owner_id, **read)
    now = timezone.now()
    refusal = refusal_of(token.revoked_at, token.expires_at, token.owner.is_active, now)
    if refusal is not None:
        raise refusal
    token.owner.only_workspace = token.workspace_name
    if token.last_used_at is None or token.last_used_at <= now - USED_RESOLUTION:
        _note_use(token, now, client_address(request) if request is not None else "")
    return token


def _note_use(token: ApiToken, now: datetime, address: str) -> None:
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USED_RESOLUTION)
    # Skipped when the row or the database is locked: the next request will do.
    write_unless_locked(
        ApiToken.objects.filter(stale, pk=token.pk), last_used_at=now, last_used_address=address
    )


def _digest(text: str) -> str:
    # Plain SHA-256: the text has 256 random bits, so there is nothing to guess and no need of a slow hash.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
