"""Platform root file systems: their published builds, and what those consist of in the bucket."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from hosts.models import Host
from workspaces.models import SHA256_LENGTH

NAME_LENGTH = 63
BUILD_LENGTH = 128


class Image(models.Model):
    """A root file system that jobs may name. `head` is what new sandboxes stand on: of the published
    builds the one that was made last. `last_number` never goes back."""

    name = models.CharField(max_length=NAME_LENGTH, unique=True)
    head = models.ForeignKey("Build", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    last_number = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class ImageObject(models.Model):
    """What images have in the bucket, under the SHA-256 of its bytes. `collected_at` set means that it is
    going, and no build may rely on it any more (`workspaces.models.StoredObject` says why)."""

    sha256 = models.CharField(max_length=SHA256_LENGTH, unique=True)
    size_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)  # somebody relied on it; the grace runs from here
    collected_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.sha256[:12]


class Build(models.Model):
    """One immutable state of an image, as a full stream. `name` is what its `etc/mags-image` says, and what
    workspaces that stand on it say.

    `retired_at`: nobody needs it any more. It is still there for the grace period, and comes back if
    somebody does after all.
    """

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="builds")
    number = models.PositiveIntegerField()  # from 1
    name = models.CharField(max_length=BUILD_LENGTH)
    manifest = models.CharField(max_length=SHA256_LENGTH)
    raw_bytes = models.PositiveBigIntegerField()  # of the stream
    stored_bytes = models.PositiveBigIntegerField()  # in the bucket
    tree_bytes = models.PositiveBigIntegerField()  # of the files
    host = models.ForeignKey(Host, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    needs = models.ManyToManyField(ImageObject, through="BuildObject", related_name="builds")

    made_at = models.DateTimeField()  # by the host's clock
    committed_at = models.DateTimeField(default=timezone.now)
    durable_at = models.DateTimeField(null=True, blank=True)  # its commit record is in the bucket too
    retired_at = models.DateTimeField(null=True, blank=True)
    damaged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["image", "number"], name="build_number_unique"),
            models.UniqueConstraint(fields=["image", "name"], name="build_name_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="build_number_from_1"),
        ]

    def __str__(self) -> str:
        return self.name


class BuildObject(models.Model):
    """A build needs an object."""

    build = models.ForeignKey(Build, on_delete=models.CASCADE, related_name="+")
    object = models.ForeignKey(ImageObject, on_delete=models.RESTRICT, related_name="uses")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["build", "object"], name="build_object_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.build_id} needs {self.object_id}"
