"""Every write to uploads."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta
from typing import IO

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from core.live import Topic, tell
from files.errors import FileTooLarge
from files.models import Upload
from files.names import checked_name
from workspaces import keys, objectstore

CHUNK_BYTES = 1024 * 1024
EXPIRE_LIMIT = 1000  # files of one run
# What is in the bucket without a row for this long is left from an upload that was cut short.
ABANDONED_AFTER = timedelta(hours=24)


def upload_put(owner: User, name: str, body: IO[bytes]) -> Upload:
    """Keep the open file's bytes under a new id. The row comes last (`upload_create`), so it is never about
    half a file; without it the bytes go with what is abandoned."""
    checked_name(name)
    digest, size_bytes = _measure(body)
    now = timezone.now()
    upload = Upload(
        owner=owner, name=name, size_bytes=size_bytes, sha256=digest, created_at=now,
        expires_at=now + timedelta(days=settings.FILE_TTL_DAYS), id=uuid.uuid4(),
    )  # fmt: skip
    objectstore.upload(keys.file_key(owner.pk, upload.pk), body)
    return upload


def upload_create(upload: Upload) -> Upload:
    """Make known what was put."""
    upload.save(force_insert=True)
    tell(upload.owner_id, Topic.FILES)
    return upload


def upload_delete(upload: Upload) -> None:
    """Remove the file now."""
    objectstore.delete([keys.file_key(upload.owner_id, upload.pk)])
    upload.delete()
    tell(upload.owner_id, Topic.FILES)


def uploads_expire() -> int:
    """Remove what has expired, and what was put and never finished. Returns how many rows went."""
    old = Upload.objects.filter(expires_at__lte=timezone.now()).order_by("expires_at")[:EXPIRE_LIMIT]
    expired = list(old)
    if expired:
        objectstore.delete(keys.file_key(upload.owner_id, upload.pk) for upload in expired)
        Upload.objects.filter(pk__in=[upload.pk for upload in expired]).delete()
    for owner_id in User.objects.values_list("pk", flat=True):
        _remove_abandoned(owner_id)
    return len(expired)


def _remove_abandoned(owner_id: int) -> None:
    before = timezone.now() - ABANDONED_AFTER
    found = objectstore.walk(keys.files_prefix(owner_id))
    old = [entry.key for entry in found if entry.modified_at < before]
    known = {
        keys.file_key(owner_id, pk)
        for pk in Upload.objects.filter(owner_id=owner_id).values_list("pk", flat=True)
    }
    # Ids are random and never given twice, so nothing can begin to need one of these.
    objectstore.delete(key for key in old if key not in known)


def _measure(body: IO[bytes]) -> tuple[str, int]:
    """The SHA-256 and the size of an open file, which is at its beginning again afterwards."""
    limit_bytes = settings.FILE_LIMIT_MB * 1024 * 1024
    digest, size_bytes = hashlib.sha256(), 0
    body.seek(0)
    while piece := body.read(CHUNK_BYTES):
        digest.update(piece)
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            raise FileTooLarge(f"The file is over {settings.FILE_LIMIT_MB} MB.")
    body.seek(0)
    return digest.hexdigest(), size_bytes
