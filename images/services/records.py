"""Commit records of builds: from then on a build is durable."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from images import keys
from images.models import Build
from images.records import record_body
from workspaces import objectstore

SWEEP_AFTER_S = 30  # a publication writes its own record well within this


def record_complete(build: Build) -> Build:
    """Write the build's commit record where it is missing."""
    if build.durable_at is None:
        objectstore.put_new(keys.record_key(build.image.name, build.number), record_body(build))
        Build.objects.filter(pk=build.pk, durable_at__isnull=True).update(durable_at=timezone.now())
        build.refresh_from_db(fields=["durable_at"])  # whoever else completed it gave the same receipt
    return build


def records_complete() -> int:
    """Complete what a killed server or an absent store left. Returns how many are durable now."""
    before = timezone.now() - timedelta(seconds=SWEEP_AFTER_S)
    missing = Build.objects.filter(durable_at__isnull=True, committed_at__lt=before)
    found = list(missing.select_related("image"))
    for build in found:
        record_complete(build)
    return len(found)
