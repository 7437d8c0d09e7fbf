"""Named file systems, their versions, and what those consist of in the bucket."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from hosts.models import Host
from workspaces.states import CompareFailure, ComparisonState, ObjectKind, VersionReason

SHA256_LENGTH = 64  # hexadecimal, lower case


class Workspace(models.Model):
    """A user's named file system.

    `holder` is the sandbox that may write it, empty where nobody may; `epoch` counts how often it was
    taken. Both are in the condition of every write that a host causes, so a sandbox that lost the
    workspace cannot publish. `last_number` never goes back: a number is never given twice.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="workspaces")
    name = models.CharField(max_length=63)
    disk_gb = models.PositiveIntegerField()
    image = models.CharField(max_length=63, default="standard")
    image_build = models.CharField(max_length=128, blank=True)  # the build it was first saved on: stays so
    head = models.ForeignKey("Version", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    last_number = models.PositiveIntegerField(default=0)

    holder = models.CharField(max_length=16, blank=True)  # a sandbox's id
    epoch = models.PositiveIntegerField(default=0)
    host = models.ForeignKey(
        Host, null=True, blank=True, on_delete=models.SET_NULL, related_name="workspaces"
    )  # where its newest local data lies
    is_saved = models.BooleanField(default=False)  # has versions, or is to have them

    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(default=timezone.now)
    damaged_at = models.DateTimeField(null=True, blank=True)
    damage = models.CharField(max_length=500, blank=True)  # what is wrong, for people
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["owner", "-created_at"], name="workspace_owner_newest"),
            models.Index(
                fields=["used_at"],
                name="workspace_local_idle",
                condition=Q(is_saved=False, deleted_at__isnull=True, holder=""),
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                condition=Q(deleted_at__isnull=True),
                name="workspace_owner_name_unique",
            ),
            models.UniqueConstraint(
                fields=["holder"], condition=~Q(holder=""), name="workspace_one_per_holder"
            ),
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True) | Q(holder="", head__isnull=True),
                name="workspace_deleted_is_free_and_headless",
            ),
            models.CheckConstraint(
                condition=Q(damaged_at__isnull=True) | ~Q(damage=""), name="workspace_damage_is_said"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"


class StoredObject(models.Model):
    """What a tenant has in the bucket below `objects/`, under the SHA-256 of its bytes.

    A row comes before the object is trusted (`version_commit`) and, for garbage, before the object is
    removed: `collected_at` set means that it is going, and no commit may rely on it any more.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=SHA256_LENGTH)
    size_bytes = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=10, choices=[(k, k) for k in ObjectKind])
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)  # a commit relied on it; the grace runs from here
    collected_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["seen_at"], name="object_seen"),
            models.Index(
                fields=["collected_at"], name="object_going", condition=Q(collected_at__isnull=False)
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["owner", "sha256"], name="object_owner_sha256_unique"),
        ]

    def __str__(self) -> str:
        return f"u{self.owner_id} {self.sha256[:12]}"


class Version(models.Model):
    """One immutable snapshot of a workspace.

    `parent` is the version whose stream this one's continues, in this workspace or, after a fork, in
    another one of the same owner; null for a full stream. A row lives as long as one that is not
    expired descends from it.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()  # from 1
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.RESTRICT, related_name="children"
    )
    manifest = models.CharField(max_length=SHA256_LENGTH)
    reason = models.CharField(max_length=10, choices=[(r, r) for r in VersionReason])
    raw_bytes = models.PositiveBigIntegerField()  # of the stream
    stored_bytes = models.PositiveBigIntegerField()  # added to the bucket; 0 where it shares all
    tree_bytes = models.PositiveBigIntegerField()  # of the files
    needs = models.ManyToManyField(StoredObject, through="VersionObject", related_name="versions")

    made_at = models.DateTimeField()  # the snapshot, by the host's clock
    committed_at = models.DateTimeField(default=timezone.now)
    durable_at = models.DateTimeField(null=True, blank=True)  # its commit record is in the bucket too
    expired_at = models.DateTimeField(null=True, blank=True)  # no longer offered; goes when nobody needs it
    damaged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["workspace", "manifest"], name="version_workspace_manifest"),
            models.Index(
                fields=["committed_at"],
                name="version_without_record",
                condition=Q(durable_at__isnull=True, expired_at__isnull=True),
            ),
            models.Index(fields=["id"], name="version_expired", condition=Q(expired_at__isnull=False)),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["workspace", "number"], name="version_number_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number_from_1"),
            models.CheckConstraint(condition=Q(reason__in=list(VersionReason)), name="version_reason_known"),
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id}@{self.number}"


class VersionObject(models.Model):
    """A version needs an object."""

    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    object = models.ForeignKey(StoredObject, on_delete=models.RESTRICT, related_name="uses")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["version", "object"], name="version_object_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.version_id} needs {self.object_id}"


class Comparison(models.Model):
    """What differs between two versions of a workspace: the question to a host, then its answer.

    `old` is the one with the lower number; the way back is read from the same row. Versions never
    change, so an answer stays true as long as both are there. `host` and `boot_epoch` say which life of
    which agent owes the answer: nobody else's counts.
    """

    old = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    new = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(
        max_length=10, choices=[(s, s) for s in ComparisonState], default=ComparisonState.WAITING
    )
    created_at = models.DateTimeField(default=timezone.now)

    host = models.ForeignKey(
        Host, null=True, blank=True, on_delete=models.SET_NULL, related_name="comparisons"
    )
    boot_epoch = models.PositiveIntegerField(default=0)
    revision = models.PositiveBigIntegerField(default=0)  # of the host, by which its agent polls
    asks = models.PositiveIntegerField(default=0)  # how often somebody was asked
    asked_at = models.DateTimeField(null=True, blank=True)

    ended_at = models.DateTimeField(null=True, blank=True)  # answered, or failed
    failure = models.CharField(max_length=12, blank=True, choices=[(f, f) for f in CompareFailure])
    added = models.BinaryField(default=bytes, blank=True)  # paths, as `workspaces.paths` packs them
    changed = models.BinaryField(default=bytes, blank=True)
    removed = models.BinaryField(default=bytes, blank=True)
    added_total = models.PositiveBigIntegerField(default=0)  # also of those that are too many to be listed
    changed_total = models.PositiveBigIntegerField(default=0)
    removed_total = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["host", "revision"],
                name="comparison_of_host",
                condition=Q(state=ComparisonState.ASKED),
            ),
            models.Index(fields=["created_at"], name="comparison_age"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["old", "new"], name="comparison_pair_unique"),
            models.CheckConstraint(
                condition=~Q(state=ComparisonState.ASKED) | Q(asked_at__isnull=False),
                name="comparison_asked_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state=ComparisonState.FAILED) | ~Q(failure=""), name="comparison_failure_is_said"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.old_id} and {self.new_id}: {self.state}"
