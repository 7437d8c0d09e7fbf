"""Builds that nobody needs any more, and objects that no build needs.

A build is retired first: it stays for the grace period, in which whoever was about to fetch or pin it is
done, and comes back if it is needed then. `workspaces.services.collect` says why marking objects is safe.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from images import keys
from images.models import Build, BuildObject, ImageObject
from images.selectors import builds_retired, builds_unneeded
from workspaces import objectstore
from workspaces.hooks import Report
from workspaces.keys import objects_prefix
from workspaces.services.collect import CLAIM_S, RUN_LIMIT_S
from workspaces.services.objects import BATCH, in_batches

logger = logging.getLogger(__name__)


def builds_retire() -> int:
    """Retire what nobody needs, take back what somebody does. Returns how many were retired."""
    unneeded = builds_unneeded().values("pk")
    Build.objects.exclude(pk__in=unneeded).filter(retired_at__isnull=False).update(retired_at=None)
    return Build.objects.filter(pk__in=unneeded, retired_at__isnull=True).update(retired_at=timezone.now())


def builds_prune() -> int:
    """Remove retired builds after the grace period: their records first, then their rows."""
    before = timezone.now() - timedelta(hours=settings.COLLECT_GRACE_HOURS)
    gone = 0
    for build in builds_retired(before):
        objectstore.delete([keys.record_key(build.image.name, build.number)])
        if builds_retired(before).filter(pk=build.pk).delete()[0]:
            gone += 1
        else:  # somebody needs it after all: the sweep writes its record again
            Build.objects.filter(pk=build.pk).update(durable_at=None)
    return gone


def images_collect(is_dry: bool = False) -> Report:
    """Retire and remove builds, then remove objects that are older than the grace period and that no
    build needs."""
    report = Report()
    run = timezone.now()
    before = run - timedelta(hours=settings.COLLECT_GRACE_HOURS)
    if records_unknown():
        logger.error("images: commit records without rows; run `manage.py workspaces_rebuild`")
        report.problems.append("images: left alone; run `manage.py workspaces_rebuild` first")
    elif is_dry:
        old = ImageObject.objects.filter(seen_at__lt=before, uses__isnull=True)
        if count := old.count() + len(_unknown(before)):
            report.summary = f"{count} objects of images would be removed"
    else:
        retired, pruned = builds_retire(), builds_prune()
        _mark_unused(before, run)
        _mark_unknown(before, run)
        forgotten = run - timedelta(seconds=CLAIM_S)
        ImageObject.objects.filter(collected_at__lt=forgotten).update(collected_at=run)
        removed = _remove(run)
        if retired or pruned or removed:
            report.summary = f"images: {retired} builds retired, {pruned} removed; {removed} objects removed"
    return report


def records_unknown() -> bool:
    """The bucket has a record of a build that the database does not know: the database is not whole."""
    listed = [keys.record_of(entry.key) for entry in objectstore.walk(keys.PREFIX)]
    known = set(Build.objects.values_list("image__name", "number"))
    return any((found.image, found.number) not in known for found in listed if found)


def _mark_unused(before: datetime, run: datetime) -> None:
    old = ImageObject.objects.filter(seen_at__lt=before, collected_at__isnull=True, uses__isnull=True)
    for some in in_batches(list(old.values_list("pk", flat=True)), BATCH):
        with transaction.atomic():
            rows = ImageObject.objects.select_for_update().filter(pk__in=some, seen_at__lt=before)
            free = {row.pk for row in rows.order_by("sha256") if row.collected_at is None}
            # A statement of its own, after the locks: it sees what publications did that had them before.
            free -= set(BuildObject.objects.filter(object_id__in=free).values_list("object_id", flat=True))
            ImageObject.objects.filter(pk__in=free).update(collected_at=run)


def _mark_unknown(before: datetime, run: datetime) -> None:
    """Mark objects that were put and never published."""
    for some in in_batches(_unknown(before), BATCH):
        rows = [
            ImageObject(sha256=name, size_bytes=size, seen_at=before, collected_at=run) for name, size in some
        ]
        ImageObject.objects.bulk_create(rows, ignore_conflicts=True)


def _unknown(before: datetime) -> list[tuple[str, int]]:
    found = {}
    for entry in objectstore.walk(objects_prefix(keys.TENANT)):
        name = keys.sha256_of(entry.key)
        if name is not None and entry.modified_at < before:
            found[name] = entry.size_bytes
    for some in in_batches(list(found), BATCH):
        for name in ImageObject.objects.filter(sha256__in=some).values_list("sha256", flat=True):
            del found[name]
    return list(found.items())


def _remove(run: datetime) -> int:
    """Remove what this run has marked; a row goes only after its object."""
    removed = 0
    mine = ImageObject.objects.filter(collected_at=run)
    for some in in_batches(list(mine), BATCH):
        if timezone.now() - run > timedelta(seconds=RUN_LIMIT_S):
            break  # the claim is about to end; the next run goes on
        objectstore.delete(keys.object_key(row.sha256) for row in some)
        mine.filter(pk__in=[row.pk for row in some]).delete()
        removed += len(some)
    return removed
