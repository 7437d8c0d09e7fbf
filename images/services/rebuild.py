"""Makes the rows of images from what the bucket says."""

from __future__ import annotations

import logging

import msgspec
from django.db import IntegrityError, transaction

from images import keys
from images.models import Build, Image, ImageObject
from images.records import BuildRecord, record_of
from images.services.objects import manifest_read, objects_attach
from workspaces import objectstore
from workspaces.errors import BadManifest, MissingObjects
from workspaces.hooks import Report
from workspaces.records import RECORD_LIMIT_BYTES, time_of
from workspaces.services.objects import BATCH

logger = logging.getLogger(__name__)


class _Dry(Exception):
    """Undo: nothing was to be changed."""


def images_rebuild(is_dry: bool = False) -> Report:
    """Add what the bucket has and the database has not; what is there stays as it is."""
    report = Report()
    added = 0
    records = _records(report)
    try:
        with transaction.atomic():
            for record in records:
                added += _add(record, report)
            for name in sorted({record.image for record in records}):
                _finish(name, max(record.number for record in records if record.image == name))
            if is_dry:
                raise _Dry
    except _Dry:
        logger.info("rolled back, as was asked")
    if added:
        report.summary = f"{added} builds of images {'would be added' if is_dry else 'added'}"
    return report


def _records(report: Report) -> list[BuildRecord]:
    found = []
    for entry in objectstore.walk(keys.PREFIX):
        named = keys.record_of(entry.key)
        if named is None:
            continue
        try:
            record = record_of(objectstore.get(entry.key, RECORD_LIMIT_BYTES) or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            report.problems.append(f"{entry.key}: {error}")
            continue
        if (record.image, record.number) == (named.image, named.number):
            found.append(record)
        else:
            report.problems.append(f"{entry.key}: is about something else than its name says")
    return found


def _add(record: BuildRecord, report: Report) -> int:
    if Build.objects.filter(image__name=record.image, number=record.number).exists():
        return 0
    where = f"image {record.image} build {record.number}"
    try:
        with transaction.atomic():
            _build(record)
    except (BadManifest, MissingObjects) as error:
        report.problems.append(f"{where}: {error.message}")
    except IntegrityError:  # one name, two numbers; or somebody else rebuilds just now
        report.problems.append(f"{where}: {record.build} is there under another number")
    else:
        return 1
    return 0


def _build(record: BuildRecord) -> None:
    manifest, size_bytes = manifest_read(record.manifest)
    sizes = {**manifest.objects, record.manifest: size_bytes}
    image, _ = Image.objects.get_or_create(name=record.image)
    build = Build.objects.create(
        image=image, number=record.number, name=record.build, manifest=record.manifest,
        raw_bytes=manifest.raw_bytes, stored_bytes=sum(sizes.values()), tree_bytes=record.tree_bytes,
        made_at=time_of(record.made_at), committed_at=time_of(record.committed_at),
        durable_at=time_of(record.committed_at),
    )  # fmt: skip
    rows = [ImageObject(sha256=name, size_bytes=sizes[name]) for name in sorted(sizes)]
    ImageObject.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
    objects_attach(build, sizes)


def _finish(name: str, last_number: int) -> None:
    """The build that was made last is the head. Numbers go on after the highest that has a record, also where
    that could not be used: no number is given twice."""
    image, _ = Image.objects.get_or_create(name=name)
    if last_number > image.last_number:
        image.head = image.builds.order_by("-made_at", "-number").first()
        image.last_number = last_number
        image.save(update_fields=["head", "last_number"])
