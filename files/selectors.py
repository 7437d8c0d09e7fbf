"""Every read of uploads. The actor comes first and sees nobody else's."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from files.errors import FileNotFound
from files.models import Upload


def upload_get(actor: User, file_id: str) -> Upload:
    """Raises FileNotFound alike for what is missing, expired or somebody else's."""
    try:
        found = upload_list(actor).filter(pk=uuid.UUID(file_id)).first()
    except ValueError:
        found = None
    if found is None:
        raise FileNotFound
    return found


def upload_many(actor: User, file_ids: list[str]) -> list[Upload]:
    """The actor's files of these ids, in this order. Raises FileNotFound unless all of them are there."""
    return [upload_get(actor, file_id) for file_id in file_ids]


def upload_list(actor: User) -> QuerySet[Upload]:
    """The actor's files that have not expired, newest first. They are of no workspace."""
    if actor.only_workspace:
        return Upload.objects.none()
    return Upload.objects.filter(owner=actor, expires_at__gt=timezone.now()).order_by("-created_at", "-pk")
