"""Makes the database's rows from what the bucket says: for when the database is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from workspaces import keys, objectstore
from workspaces.errors import BadManifest, MissingObjects
from workspaces.limits import MANIFEST_LIMIT_BYTES
from workspaces.manifests import Manifest, manifest_of
from workspaces.models import StoredObject, Version, Workspace
from workspaces.records import RECORD_LIMIT_BYTES, CommitRecord, record_of, time_of
from workspaces.services.objects import BATCH, objects_attach
from workspaces.states import HOST_REASONS, ObjectKind


@dataclass(slots=True)
class Rebuilt:
    """What a run made (or, dry, would make)."""

    workspaces: int = 0
    versions: int = 0
    problems: list[str] = field(default_factory=list)


class _Dry(Exception):
    """Undo: nothing was to be changed."""


def workspaces_rebuild(*, is_dry: bool = False) -> Rebuilt:
    """Add what the bucket has and the database has not. Owners are matched by their id; what is there
    already stays as it is."""
    rebuilt = Rebuilt()
    for owner in User.objects.order_by("pk"):
        try:
            with transaction.atomic():
                _Owner(owner, rebuilt).rebuild()
                if is_dry:
                    raise _Dry
        except _Dry:
            continue
    return rebuilt


class _Owner:
    """One owner's part of the bucket."""

    def __init__(self, owner: User, rebuilt: Rebuilt) -> None:
        self.owner = owner
        self.rebuilt = rebuilt
        self.manifests: dict[str, tuple[Manifest, int]] = {}
        self.deleted: set[UUID] = set()
        self.grown: set[UUID] = set()  # workspaces that got versions

    def rebuild(self) -> None:
        records = self._records()
        # A stream's parent is older than what continues it, in whichever workspace it is.
        for record in sorted(records, key=lambda r: (r.committed_at, r.number)):
            try:
                with transaction.atomic():
                    self._version(record)
            except (BadManifest, MissingObjects) as error:
                where = f"{record.name} version {record.number}"
                self.rebuilt.problems.append(f"{where}: {error.message}")
        for workspace in Workspace.objects.filter(pk__in=self.grown):
            self._finish(workspace)

    def _records(self) -> list[CommitRecord]:
        found = []
        for entry in objectstore.walk(keys.records_prefix(self.owner.pk)):
            named = keys.record_of(entry.key)
            if named is None:
                self._note_tombstone(entry.key)
                continue
            try:
                record = record_of(objectstore.get(entry.key, RECORD_LIMIT_BYTES) or b"")
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.rebuilt.problems.append(f"{entry.key}: {error}")
                continue
            if (record.owner, record.workspace, record.number) != (
                named.owner_id,
                named.workspace_id,
                named.number,
            ):
                self.rebuilt.problems.append(f"{entry.key}: is about something else than its name says")
                continue
            found.append(record)
        return found

    def _note_tombstone(self, key: str) -> None:
        *_, workspace_id, name = key.split("/")
        if name == "deleted.json":
            self.deleted.add(UUID(workspace_id))

    def _version(self, record: CommitRecord) -> None:
        if Version.objects.filter(workspace_id=record.workspace, number=record.number).exists():
            return
        manifest, size_bytes = self._manifest(record.manifest)
        parent = self._parent(record, manifest)
        workspace = self._workspace(record)
        sizes = {**manifest.objects, record.manifest: size_bytes}
        version = Version.objects.create(
            workspace=workspace, number=record.number, parent=parent, manifest=record.manifest,
            reason=record.reason, raw_bytes=manifest.raw_bytes,
            stored_bytes=sum(sizes.values()) if record.reason in HOST_REASONS else 0,
            tree_bytes=record.tree_bytes, made_at=time_of(record.made_at),
            committed_at=time_of(record.committed_at), durable_at=time_of(record.committed_at),
            expired_at=timezone.now() if workspace.pk in self.deleted else None,
        )  # fmt: skip
        self._objects(version, sizes)
        self.grown.add(workspace.pk)
        self.rebuilt.versions += 1

    def _workspace(self, record: CommitRecord) -> Workspace:
        found = Workspace.objects.filter(pk=record.workspace).first()
        if found is not None:
            return found
        is_deleted = record.workspace in self.deleted
        self.rebuilt.workspaces += 1
        return Workspace.objects.create(
            pk=record.workspace, owner=self.owner, name=self._free_name(record, is_deleted=is_deleted),
            disk_gb=record.disk_gb, image=record.image, is_saved=True,
            created_at=time_of(record.committed_at), deleted_at=timezone.now() if is_deleted else None,
        )  # fmt: skip

    def _free_name(self, record: CommitRecord, *, is_deleted: bool) -> str:
        """The name, or one beside it where a workspace of another id has it by now."""
        taken = Workspace.objects.filter(owner=self.owner, name=record.name, deleted_at__isnull=True)
        if is_deleted or not taken.exists():
            return record.name
        name = f"{record.name[:50]}-{record.workspace.hex[:12]}"
        self.rebuilt.problems.append(f"{record.name}: there is another one already; rebuilt as {name}")
        return name

    def _manifest(self, sha256: str) -> tuple[Manifest, int]:
        if sha256 not in self.manifests:
            body = objectstore.get(keys.object_key(keys.tenant(self.owner.pk), sha256), MANIFEST_LIMIT_BYTES)
            if body is None:
                raise MissingObjects([sha256])
            self.manifests[sha256] = manifest_of(body, sha256), len(body)
        return self.manifests[sha256]

    def _parent(self, record: CommitRecord, manifest: Manifest) -> Version | None:
        """The version that the stream continues: of the same workspace where the record says so."""
        if manifest.parent is None:
            return None
        same = Version.objects.filter(workspace__owner=self.owner, manifest=manifest.parent)
        own = same.filter(workspace_id=record.workspace, number=record.parent_number or 0)
        parent = own.first() or same.order_by("pk").first()
        if parent is None:
            raise BadManifest(f"the version that it continues ({manifest.parent}) is not there")
        return parent

    def _objects(self, version: Version, sizes: dict[str, int]) -> None:
        rows = [
            StoredObject(
                owner=self.owner,
                sha256=name,
                size_bytes=sizes[name],
                kind=ObjectKind.MANIFEST if name == version.manifest else ObjectKind.SEGMENT,
            )
            for name in sorted(sizes)
        ]
        StoredObject.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        objects_attach(version, self.owner.pk, sizes)

    def _finish(self, workspace: Workspace) -> None:
        """The newest version is the head, and numbers go on after it."""
        newest = workspace.versions.order_by("-number")[0]
        workspace.last_number = max(workspace.last_number, newest.number)
        workspace.head = newest if workspace.deleted_at is None else None
        if newest.manifest in self.manifests:
            image = self.manifests[newest.manifest][0].image
            workspace.image_build = image.digest if image else ""
        workspace.save(update_fields=["last_number", "head", "image_build"])
