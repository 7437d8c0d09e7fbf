"""A host's snapshot becomes the workspace's newest version.

Killed between any two steps, nothing is lost and the host's next try goes on: until the transaction the
version does not exist; after it the version is complete, and what may be missing is its commit record,
which the repeated call or a sweep writes. The receipt is given only after both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.live import Topic, tell
from workspaces import keys, objectstore
from workspaces.errors import ChainTooLong, HeadMoved, MissingObjects, StaleHold, VersionDamaged, WrongBuild
from workspaces.limits import MANIFEST_LIMIT_BYTES
from workspaces.manifests import Manifest, manifest_of
from workspaces.models import Version, Workspace
from workspaces.selectors import LIVE, Hold, workspaces_held
from workspaces.services.compact import FullNext, full_next
from workspaces.services.objects import objects_attach, objects_claim, objects_require
from workspaces.services.records import record_complete
from workspaces.states import HOST_REASONS, VersionReason


@dataclass(frozen=True, slots=True)
class Commit:
    """What a host says of a snapshot whose objects it has put.

    `parent` is the manifest of the head that it knows, None before the first version. The stream may
    continue another version, or none: that stands in the manifest.
    """

    manifest: str
    parent: str | None
    reason: VersionReason
    made_at: datetime
    tree_bytes: int


def _nothing() -> None:
    """No more conditions."""


def version_commit(hold: Hold, commit: Commit, *, check: Callable[[], None] = _nothing) -> Version:
    """Publish a version and answer it once it is durable. The same manifest again answers the same.

    `check` runs first inside the transaction that decides, and raises what else forbids it. Raises
    StaleHold, HeadMoved, WrongBuild, MissingObjects, BadManifest, VersionDamaged, ChainTooLong,
    ObjectStoreUnavailable.
    """
    workspace = _held(workspaces_held(hold))
    version = _published(workspace, commit)
    if version is None:
        manifest, size_bytes = _manifest(workspace.owner_id, commit.manifest)
        sizes = {**manifest.objects, commit.manifest: size_bytes}
        unsure = objects_claim(workspace.owner_id, sizes, commit.manifest)
        objects_require(workspace.owner_id, {name: sizes[name] for name in unsure})
        version = _publish(hold, commit, manifest, sizes, check)
    return record_complete(version)


def _held(rows: QuerySet[Workspace]) -> Workspace:
    workspace = rows.first()
    if workspace is None:
        raise StaleHold
    return workspace


def _published(workspace: Workspace, commit: Commit) -> Version | None:
    """The version that an earlier call with this manifest made."""
    made_by_hosts = workspace.versions.filter(reason__in=HOST_REASONS, expired_at__isnull=True)
    return made_by_hosts.filter(manifest=commit.manifest).order_by("-number").first()


def _manifest(owner_id: int, sha256: str) -> tuple[Manifest, int]:
    body = objectstore.get(keys.object_key(keys.tenant(owner_id), sha256), MANIFEST_LIMIT_BYTES)
    if body is None:
        raise MissingObjects([sha256])
    return manifest_of(body, sha256), len(body)


def _publish(
    hold: Hold, commit: Commit, manifest: Manifest, sizes: dict[str, int], check: Callable[[], None]
) -> Version:
    with transaction.atomic():
        check()
        # Its row is ours until the end; the guarded update below says the same where there are no locks.
        # The head is read afterwards: a join would show it as it was before the wait for the lock.
        workspace = _held(workspaces_held(hold).select_for_update())
        if (version := _published(workspace, commit)) is not None:  # by the same call, sent twice
            return version
        _check_head(workspace, commit)
        build = _build(workspace, manifest)
        version = Version.objects.create(
            workspace=workspace, number=workspace.last_number + 1, parent=_parent(workspace, manifest),
            manifest=commit.manifest, reason=commit.reason, raw_bytes=manifest.raw_bytes,
            stored_bytes=sum(sizes.values()), tree_bytes=commit.tree_bytes, made_at=commit.made_at,
        )  # fmt: skip
        objects_attach(version, workspace.owner_id, sizes)
        _move_head(hold, workspace, version, build)
        tell(workspace.owner_id, Topic.WORKSPACES)
    return version


def _check_head(workspace: Workspace, commit: Commit) -> None:
    head = workspace.head.manifest if workspace.head else None
    if head != commit.parent:
        raise HeadMoved


def _build(workspace: Workspace, manifest: Manifest) -> str:
    """The build of the image that the workspace stands on: that of its first version. Raises WrongBuild."""
    pinned, image = workspace.image_build, manifest.image
    if image is None:
        if pinned:
            raise WrongBuild(pinned, "none that it names")
    elif image.name != workspace.image or pinned not in ("", image.digest):
        raise WrongBuild(pinned, f"{image.digest} of {image.name}")
    else:
        return image.digest
    return ""


def _parent(workspace: Workspace, manifest: Manifest) -> Version | None:
    """The version that the stream continues, kept from expiring until the transaction ends."""
    if manifest.parent is None:
        return None
    if workspace.damaged_at is not None:
        raise VersionDamaged(
            "The versions that this one would build on are damaged.", remediation="Send a full stream."
        )
    offered = workspace.versions.select_for_update().filter(expired_at__isnull=True)
    parent = offered.filter(manifest=manifest.parent).order_by("-number").first()
    if parent is None:
        raise HeadMoved("The stream continues what is no version of this workspace.")
    if full_next(parent) is FullNext.NOW:  # the host was told, or another one was
        raise ChainTooLong
    return parent


def _move_head(hold: Hold, workspace: Workspace, version: Version, build: str) -> None:
    same = Workspace.objects.filter(
        LIVE, pk=workspace.pk, holder=hold.sandbox_id, epoch=hold.epoch,
        head_id=workspace.head_id, last_number=workspace.last_number,
    )  # fmt: skip
    moved = same.update(
        head=version, last_number=version.number, is_saved=True, used_at=timezone.now(), image_build=build,
        damaged_at=None, damage="",  # a stream on damaged versions was refused
    )  # fmt: skip
    if not moved:
        raise StaleHold
