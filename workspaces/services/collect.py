"""Garbage: objects that no version needs, removed once nobody can be about to need them.

A referenced object is never removed, whatever races:

- An object is marked before it is touched, in a transaction that holds its row's lock and looks for uses
  in a statement of its own, so it sees every commit that had the lock before. A commit that gets the lock
  later sees the mark and answers `missing_objects`; the host puts the object again.
- An object without a row (put and never committed) gets a marked row first. The row is unique, so a commit
  that claims the name at the same moment is either first, and keeps it, or sees the mark.
- A mark is also a claim of one run, for CLAIM_S. A row goes only after the store has confirmed that the
  object is gone; when the answer is unknown the mark stays, and no commit uses the name until a later run
  has made sure. So a delayed removal never meets an object that was put again.
- Nobody's objects are touched while the bucket has commit records that the database does not know: then
  it is the database that is not whole.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from workspaces import keys, objectstore
from workspaces.models import StoredObject, Version, VersionObject, Workspace
from workspaces.objectstore import Entry
from workspaces.services.objects import BATCH, in_batches, locked
from workspaces.states import ObjectKind

logger = logging.getLogger(__name__)
CLAIM_S = 3600  # how long a run may remove what it marked; each call to the store ends within a minute
RUN_LIMIT_S = CLAIM_S // 2


@dataclass(slots=True)
class Collected:
    """What a run removed (or, dry, would remove)."""

    objects: int = 0
    size_bytes: int = 0
    skipped: list[int] = field(default_factory=list)  # owners whose rows are to be rebuilt first


def objects_collect(*, is_dry: bool = False) -> Collected:
    """Remove unneeded objects that are older than the grace period."""
    run = timezone.now()
    before = run - timedelta(hours=settings.COLLECT_GRACE_HOURS)
    collected = Collected()
    owners = Workspace.objects.order_by().values_list("owner_id", flat=True).distinct()
    for owner_id in owners:
        if records_unknown(owner_id):
            logger.error("u%d: commit records without rows; run `manage.py workspaces_rebuild`", owner_id)
            collected.skipped.append(owner_id)
        elif is_dry:
            _count(owner_id, before, collected)
        else:
            mark_unused(owner_id, before, run)
            mark_unknown(owner_id, before, run)
    if not is_dry:
        _claim_forgotten(run)
        _remove(run, collected)
    return collected


def records_unknown(owner_id: int) -> bool:
    """The bucket has a commit record of a version that the database does not know."""
    listed = [keys.record_of(entry.key) for entry in objectstore.walk(keys.records_prefix(owner_id))]
    rows = Version.objects.filter(workspace__owner_id=owner_id).values_list("workspace_id", "number")
    known = set(rows)  # read after the listing: a row is there before its record
    return any((found.workspace_id, found.number) not in known for found in listed if found)


def mark_unused(owner_id: int, before: datetime, run: datetime) -> None:
    """Mark known objects that no version needs."""
    for some in in_batches(list(_unused(owner_id, before)), BATCH):
        with transaction.atomic():
            rows = locked(StoredObject.objects.filter(pk__in=some, seen_at__lt=before))
            free = {row.pk for row in rows if row.collected_at is None}
            # A statement of its own, after the locks: it sees what commits did that had them before.
            free -= set(VersionObject.objects.filter(object_id__in=free).values_list("object_id", flat=True))
            StoredObject.objects.filter(pk__in=free).update(collected_at=run)


def mark_unknown(owner_id: int, before: datetime, run: datetime) -> None:
    """Mark objects that were put and never committed."""
    for some in in_batches(list(_unknown(owner_id, before)), BATCH):
        rows = [
            StoredObject(
                owner_id=owner_id, sha256=name, size_bytes=size, kind=ObjectKind.UNKNOWN,
                collected_at=run, seen_at=before,
            )
            for name, size in some
        ]  # fmt: skip
        StoredObject.objects.bulk_create(rows, ignore_conflicts=True)


def _unused(owner_id: int, before: datetime) -> Iterator[int]:
    old = StoredObject.objects.filter(owner_id=owner_id, seen_at__lt=before, collected_at__isnull=True)
    yield from old.filter(uses__isnull=True).values_list("pk", flat=True)


def _unknown(owner_id: int, before: datetime) -> Iterator[tuple[str, int]]:
    prefix = keys.objects_prefix(keys.tenant(owner_id))
    old: list[Entry] = [entry for entry in objectstore.walk(prefix) if entry.modified_at < before]
    for some in in_batches(old, BATCH):
        sizes = {name: entry.size_bytes for entry in some if (name := keys.sha256_of(entry.key))}
        rows = StoredObject.objects.filter(owner_id=owner_id, sha256__in=list(sizes))
        for name in rows.values_list("sha256", flat=True):
            del sizes[name]
        yield from sizes.items()


def _count(owner_id: int, before: datetime, collected: Collected) -> None:
    unused = StoredObject.objects.filter(pk__in=list(_unused(owner_id, before)))
    sizes = [*unused.values_list("size_bytes", flat=True), *(size for _, size in _unknown(owner_id, before))]
    collected.objects += len(sizes)
    collected.size_bytes += sum(sizes)


def _claim_forgotten(run: datetime) -> None:
    """Take over what an earlier run marked and did not get to, or got no answer for."""
    forgotten = run - timedelta(seconds=CLAIM_S)
    StoredObject.objects.filter(collected_at__lt=forgotten).update(collected_at=run)


def _remove(run: datetime, collected: Collected) -> None:
    mine = StoredObject.objects.filter(collected_at=run)
    owned: dict[int, list[StoredObject]] = defaultdict(list)
    for row in mine:
        owned[row.owner_id].append(row)
    for owner_id, rows in owned.items():
        for some in in_batches(rows, BATCH):
            if timezone.now() - run > timedelta(seconds=RUN_LIMIT_S):
                return  # the claim is about to end; the next run goes on
            objectstore.delete(keys.object_key(keys.tenant(owner_id), row.sha256) for row in some)
            mine.filter(pk__in=[row.pk for row in some]).delete()
            collected.objects += len(some)
            collected.size_bytes += sum(row.size_bytes for row in some)
