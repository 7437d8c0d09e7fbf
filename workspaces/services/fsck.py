"""Looks at every object that a version needs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from workspaces import keys, objectstore
from workspaces.errors import BadManifest
from workspaces.limits import MANIFEST_LIMIT_BYTES
from workspaces.manifests import manifest_of
from workspaces.models import Version
from workspaces.records import record_body
from workspaces.services.damage import version_damage, version_heal


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong with a version."""

    version: Version
    key: str
    problem: str


@dataclass(slots=True)
class Checked:
    """What a check has looked at and found."""

    versions: int = 0
    objects: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def words(self) -> str:
        """In a sentence, with the first of what was found."""
        text = f"{self.versions} versions, {self.objects} objects, {self.size_bytes} bytes: "
        if not self.findings:
            return f"{text}no problems."
        first = self.findings[0]
        found = f"Version {first.version.number}: {first.key} {first.problem}."
        return f"{text}{len(self.findings)} problems. {found}"


def workspaces_check(*, is_deep: bool = True, only: Collection[UUID] | None = None) -> Checked:
    """Check all versions, or those of `only` these workspaces, and mark those that are damaged; deep reads
    every byte, and takes marks back where all is right again."""
    checked = Checked()
    problems: dict[int, str] = {}  # by the object's row; objects are shared, each is read once
    seen: set[int] = set()
    versions = Version.objects.select_related("workspace", "parent").order_by("workspace_id", "number")
    if only is not None:
        versions = versions.filter(workspace__in=only)
    for version in versions.iterator():
        found = list(_check_version(version, problems, seen, checked, is_deep=is_deep))
        checked.versions += 1
        checked.findings += found
        if found:
            version_damage(version, f"Version {version.number}: {found[0].key} {found[0].problem}.")
        elif is_deep:
            version_heal(version)
        checked.findings += _check_record(version)
    return checked


def _check_version(
    version: Version, problems: dict[int, str], seen: set[int], checked: Checked, *, is_deep: bool
) -> Iterator[Finding]:
    tenant = keys.tenant(version.workspace.owner_id)
    needed = {row.sha256: row for row in version.needs.all()}
    for row in needed.values():
        key = keys.object_key(tenant, row.sha256)
        if row.pk not in seen:
            seen.add(row.pk)
            checked.objects += 1
            checked.size_bytes += row.size_bytes
            problem = object_problem(key, row.sha256, row.size_bytes, is_deep=is_deep)
            if problem:
                problems[row.pk] = problem
        if row.pk in problems:
            yield Finding(version, key, problems[row.pk])
    own = needed.get(version.manifest)
    if own is None or own.pk not in problems:
        yield from _check_manifest(version, {name: row.size_bytes for name, row in needed.items()})


def object_problem(key: str, sha256: str, size_bytes: int, *, is_deep: bool) -> str:
    """What is wrong with an object in the bucket; empty where nothing is."""
    return _read_through(key, sha256, size_bytes) if is_deep else _look_at(key, size_bytes)


def _look_at(key: str, size_bytes: int) -> str:
    size = objectstore.size_of(key)
    return "is missing" if size is None else _size_problem(size, size_bytes)


def _read_through(key: str, sha256: str, size_bytes: int) -> str:
    body = objectstore.stream(key)
    if body is None:
        return "is missing"
    digest, size = hashlib.sha256(), 0
    for piece in objectstore.chunks(body):
        digest.update(piece)
        size += len(piece)
    if digest.hexdigest() != sha256:
        return _size_problem(size, size_bytes) or "does not have the bytes that its name says"
    return ""


def _size_problem(size: int, size_bytes: int) -> str:
    return "" if size == size_bytes else f"has {size} bytes instead of {size_bytes}"


def _check_manifest(version: Version, needed: dict[str, int]) -> Iterator[Finding]:
    """The manifest is there and right: does it name the very objects that the rows name?"""
    key = keys.object_key(keys.tenant(version.workspace.owner_id), version.manifest)
    body = objectstore.get(key, MANIFEST_LIMIT_BYTES)
    if body is None:
        yield Finding(version, key, "is missing")
        return
    try:
        manifest = manifest_of(body, version.manifest)
    except BadManifest as error:
        yield Finding(version, key, f"cannot be used: {error.message}")
        return
    if {**manifest.objects, version.manifest: len(body)} != needed:
        yield Finding(version, key, "names other objects than the database")
    parent = version.parent.manifest if version.parent else None
    if manifest.parent != parent:
        yield Finding(version, key, "continues another version than the database says")


def _check_record(version: Version) -> Iterator[Finding]:
    """A missing commit record is no damage: the row is there to write it from."""
    if version.expired_at is not None or version.durable_at is None:
        return
    workspace = version.workspace
    key = keys.record_key(workspace.owner_id, workspace.pk, version.number)
    if objectstore.size_of(key) is None:
        objectstore.put_new(key, record_body(version))
        yield Finding(version, key, "was missing and is written again")
