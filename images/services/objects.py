"""Which objects a build may rely on: the rules of `workspaces.services.objects`, for what is everybody's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction
from django.utils import timezone

from images import keys
from images.models import Build, BuildObject, ImageObject
from workspaces import objectstore
from workspaces.errors import BadManifest, MissingObjects
from workspaces.limits import MANIFEST_LIMIT_BYTES
from workspaces.manifests import Manifest, manifest_of
from workspaces.services.objects import BATCH, in_batches


def manifest_read(sha256: str) -> tuple[Manifest, int]:
    """An image's manifest and its size. Raises MissingObjects, BadManifest."""
    body = objectstore.get(keys.object_key(sha256), MANIFEST_LIMIT_BYTES)
    if body is None:
        raise MissingObjects([sha256])
    manifest = manifest_of(body, sha256)
    if manifest.parent is not None or manifest.image is not None:
        raise BadManifest("An image is one full stream that stands on nothing.")
    return manifest, len(body)


def objects_claim(sizes: Mapping[str, int]) -> None:
    """Keep the collector away from objects {SHA-256: bytes}. Raises MissingObjects for what is going."""
    names = sorted(sizes)
    rows = [ImageObject(sha256=name, size_bytes=sizes[name]) for name in names]
    with transaction.atomic():
        ImageObject.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        for some in in_batches(objects_lock(names), BATCH):
            pks = [row.pk for row in some]
            ImageObject.objects.filter(pk__in=pks).update(seen_at=timezone.now())


def objects_attach(build: Build, sizes: Mapping[str, int]) -> None:
    """Record that the build needs the objects, which are in the bucket with these sizes. Raises
    MissingObjects for those that went after all."""
    found = objects_lock(sorted(sizes))
    if gone := set(sizes) - {row.sha256 for row in found}:
        raise MissingObjects(gone)
    for row in found:
        if row.size_bytes != sizes[row.sha256]:  # claimed by an earlier publication that was wrong about it
            ImageObject.objects.filter(pk=row.pk).update(size_bytes=sizes[row.sha256])
    uses = [BuildObject(build=build, object=row) for row in found]
    BuildObject.objects.bulk_create(uses, batch_size=BATCH)


def objects_lock(names: Sequence[str]) -> list[ImageObject]:
    """The rows of these names, theirs until the transaction ends. Raises MissingObjects for marked ones."""
    found: list[ImageObject] = []
    for some in in_batches(names, BATCH):
        rows = ImageObject.objects.select_for_update().filter(sha256__in=some)
        found += rows.order_by("sha256")  # everybody takes these locks in the same order
    if going := {row.sha256 for row in found if row.collected_at is not None}:
        raise MissingObjects(going)
    return found
