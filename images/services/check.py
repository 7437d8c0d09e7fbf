"""Looks at every object that a build needs."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils import timezone

from images import keys
from images.models import Build
from images.records import record_body
from images.services.objects import manifest_read
from workspaces import objectstore
from workspaces.errors import BadManifest, MissingObjects
from workspaces.hooks import Report
from workspaces.services.fsck import object_problem


def images_check(is_deep: bool = True) -> Report:
    """Check all builds and mark those that are damaged; deep reads every byte, and takes marks back where
    all is right again."""
    problems: list[str] = []
    seen: dict[str, str] = {}  # objects are shared, each is read once
    builds = Build.objects.select_related("image").order_by("image__name", "number")
    for build in builds:
        found = list(_check(build, seen, is_deep=is_deep))
        problems += [f"images\t{build.image.name}\t{build.number}\t{problem}" for problem in found]
        same = Build.objects.filter(pk=build.pk)
        if found:
            same.filter(damaged_at__isnull=True).update(damaged_at=timezone.now())
        elif is_deep:
            same.update(damaged_at=None)
        problems += _check_record(build)
    if not builds:
        return Report()
    return Report(f"{len(builds)} builds of images, {len(seen)} objects: {len(problems)} problems", problems)


def _check(build: Build, seen: dict[str, str], *, is_deep: bool) -> Iterator[str]:
    needed = dict(build.needs.values_list("sha256", "size_bytes"))
    for name, size_bytes in needed.items():
        key = keys.object_key(name)
        if name not in seen:
            seen[name] = object_problem(key, name, size_bytes, is_deep=is_deep)
        if seen[name]:
            yield f"{key}\t{seen[name]}"
    key = keys.object_key(build.manifest)
    if seen.get(build.manifest):
        return
    try:
        manifest, size_bytes = manifest_read(build.manifest)
    except (BadManifest, MissingObjects) as error:
        yield f"{key}\tcannot be used: {error.message}"
        return
    if {**manifest.objects, build.manifest: size_bytes} != needed:
        yield f"{key}\tnames other objects than the database"


def _check_record(build: Build) -> list[str]:
    """A missing commit record is no damage: the row is there to write it from."""
    if build.retired_at is not None or build.durable_at is None:
        return []
    key = keys.record_key(build.image.name, build.number)
    if objectstore.size_of(key) is not None:
        return []
    objectstore.put_new(key, record_body(build))
    return [f"images\t{build.image.name}\t{build.number}\t{key}\twas missing and is written again"]
