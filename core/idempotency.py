"""`Idempotency-Key`: a creating call that is sent twice creates once and answers twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Conflict, Invalid
from core.models import IdempotencyRecord

HEADER = "Idempotency-Key"
KEY_LIMIT = 255
Answer = tuple[int, dict[str, Any]]
Create = Callable[[], Answer]


class IdempotencyKeyReused(Conflict):
    code = "idempotency_key_reused"
    default_message = "This Idempotency-Key was used for another request."
    default_remediation = "Use a new key for a new request, and the same key only to repeat one."


class _Taken(Exception):
    """Somebody else's transaction recorded the key first."""


def idempotent(owner: AbstractBaseUser, key: str, digest: str, create: Create) -> Answer:
    """Run `create` in a transaction and remember its answer (status, JSON body) under the key.

    A repetition gets the remembered answer; the same key with another digest is a conflict. An
    exception from `create` undoes everything and is not remembered. An empty key remembers nothing.
    """
    if not key:
        with transaction.atomic():
            return create()
    try:
        with transaction.atomic():
            return _remembered(owner, key, digest) or _create(owner, key, digest, create)
    except _Taken:
        answer = _remembered(owner, key, digest)
        if answer is None:
            raise
        return answer


def key_of(headers: Mapping[str, str]) -> str:
    """The request's key, or an empty string."""
    key = headers.get(HEADER, "")
    if len(key) > KEY_LIMIT or not key.isprintable():
        raise Invalid(f"{HEADER} must be at most {KEY_LIMIT} printable characters.")
    return key


def digest_of(method: str, path: str, body: Mapping[str, Any]) -> str:
    """What makes two requests the same one."""
    text = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def forget_old_answers() -> int:
    """Delete the records that nobody repeats any more."""
    deleted, _ = IdempotencyRecord.objects.filter(created_at__lt=_oldest()).delete()
    return deleted


def _remembered(owner: AbstractBaseUser, key: str, digest: str) -> Answer | None:
    record = IdempotencyRecord.objects.filter(owner_id=owner.pk, key=key).first()
    if record is None:
        return None
    if record.created_at < _oldest():
        record.delete()
        return None
    if record.request_digest != digest:
        raise IdempotencyKeyReused
    return record.status, record.body


def _create(owner: AbstractBaseUser, key: str, digest: str, create: Create) -> Answer:
    status, body = create()
    try:
        IdempotencyRecord.objects.create(
            owner_id=owner.pk, key=key, request_digest=digest, status=status, body=body
        )
    except IntegrityError as error:
        # On PostgreSQL the same request ran at the same time and won; undo our creation.
        raise _Taken from error
    return status, body


def _oldest() -> datetime:
    return timezone.now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS)
