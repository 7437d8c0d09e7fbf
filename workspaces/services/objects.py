"""Which objects a version may rely on.

A commit and the collector meet in the rows of `StoredObject`, never in the bucket:

1. A commit first claims its objects: rows that are new or seen just now, which the collector leaves
   alone for the grace period. It refuses objects that the collector has marked.
2. Only then it looks into the bucket, so what it finds there stays.
3. It attaches them to the version in the transaction that moves the head, with their rows locked.

The collector (`collect`) marks a row, in a transaction that holds the row's lock while it looks for uses,
before it touches the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from workspaces import keys, objectstore
from workspaces.errors import BadManifest, MissingObjects
from workspaces.models import StoredObject, Version, VersionObject
from workspaces.states import ObjectKind

T = TypeVar("T")
BATCH = 500  # names of one query; SQLite counts them as variables
LOOKS_AT_ONCE = 8


def objects_claim(owner_id: int, sizes: Mapping[str, int], manifest: str) -> set[str]:
    """Keep the collector away from objects {SHA-256: bytes}. Returns those to look for in the bucket:
    all that no version needs yet. Raises MissingObjects for those that are going."""
    names = sorted(sizes)
    rows = [_row(owner_id, name, sizes[name], manifest) for name in names]
    with transaction.atomic():
        StoredObject.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        found = objects_lock(owner_id, names)
        for some in in_batches(found, BATCH):
            StoredObject.objects.filter(pk__in=[row.pk for row in some]).update(seen_at=timezone.now())
    known = {row.pk: row for row in found}
    for few in in_batches(list(known), BATCH):
        for pk in VersionObject.objects.filter(object_id__in=few).values_list("object_id", flat=True):
            row = known.pop(pk, None)
            if row is not None and row.size_bytes != sizes[row.sha256]:
                raise BadManifest(f"{row.sha256} has {row.size_bytes} bytes.")
    return {row.sha256 for row in known.values()}


def objects_require(owner_id: int, sizes: Mapping[str, int]) -> None:
    """Raise MissingObjects for what the owner has not in the bucket with its size."""
    sizes_require(keys.tenant(owner_id), sizes)


def sizes_require(tenant: str, sizes: Mapping[str, int]) -> None:
    """Raise MissingObjects for what is not in the bucket with its size."""
    names = list(sizes)
    with ThreadPoolExecutor(min(LOOKS_AT_ONCE, len(names) or 1)) as pool:
        found = pool.map(lambda name: objectstore.size_of(keys.object_key(tenant, name)), names)
        real = dict(zip(names, found, strict=True))
    missing = {name for name, size in real.items() if size is None}
    if missing:
        raise MissingObjects(missing)
    wrong = [name for name, size in real.items() if size != sizes[name]]
    if wrong:  # the store has checked the content against the name, so the manifest is wrong
        raise BadManifest(f"{wrong[0]} has {real[wrong[0]]} bytes.")


def objects_attach(version: Version, owner_id: int, sizes: Mapping[str, int]) -> None:
    """Record that the version needs the objects. Raises MissingObjects for those that went after all."""
    found = objects_lock(owner_id, sorted(sizes))
    gone = set(sizes) - {row.sha256 for row in found}
    if gone:
        raise MissingObjects(gone)
    for row in found:
        if row.size_bytes != sizes[row.sha256]:  # claimed by an earlier commit that was wrong about it
            StoredObject.objects.filter(pk=row.pk).update(size_bytes=sizes[row.sha256])
    uses = [VersionObject(version=version, object=row) for row in found]
    VersionObject.objects.bulk_create(uses, batch_size=BATCH)


def objects_lock(owner_id: int, names: Sequence[str]) -> list[StoredObject]:
    """The rows of these names, theirs until the transaction ends. Raises MissingObjects for marked ones."""
    found: list[StoredObject] = []
    for some in in_batches(names, BATCH):
        found += locked(StoredObject.objects.filter(owner_id=owner_id, sha256__in=some))
    going = {row.sha256 for row in found if row.collected_at is not None}
    if going:
        raise MissingObjects(going)
    return found


def locked(rows: QuerySet[StoredObject]) -> QuerySet[StoredObject]:
    """Everybody takes these locks in the same order."""
    return rows.select_for_update().order_by("sha256")


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _row(owner_id: int, name: str, size_bytes: int, manifest: str) -> StoredObject:
    kind = ObjectKind.MANIFEST if name == manifest else ObjectKind.SEGMENT
    return StoredObject(owner_id=owner_id, sha256=name, size_bytes=size_bytes, kind=kind)
