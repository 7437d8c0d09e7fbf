"""Machines that run sandboxes, and how one joins."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from hosts.states import HostEventKind, HostState


class EnrolmentToken(models.Model):
    """Lets one new host join, once. Only the SHA-256 of its text is stored."""

    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    publishes_images = models.BooleanField(default=False)  # a right that goes to the host
    host = models.OneToOneField("Host", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    def __str__(self) -> str:
        return f"enrolment {self.pk}"


class Host(models.Model):
    """A machine with a host agent.

    `boot_epoch` counts the lives of the agent: a report that carries an older one is refused.
    `revision` counts changes to what should exist on the host: the agent polls for changes after
    the revision it knows. `used_*` are what live leases hold; the guarded update that takes a
    lease keeps them at or under the capacity.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    key_digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    boot_epoch = models.PositiveIntegerField(default=0)  # 0: never booted
    machine_boot_id = models.CharField(max_length=64, blank=True)
    revision = models.PositiveBigIntegerField(default=0)
    sandbox_revision = models.PositiveBigIntegerField(default=0)  # the last that was about a held sandbox
    image_revision = models.PositiveBigIntegerField(default=0)  # the last that was about images
    last_seen_at = models.DateTimeField(null=True, blank=True)
    is_online = models.BooleanField(default=False)  # booted and heard of within HOST_LEASE_S
    is_draining = models.BooleanField(default=False)  # the operator's wish
    is_agent_draining = models.BooleanField(default=False)  # the agent's own, until its next boot

    # Where its data port takes the gateway's connections, as its agent says. None: nowhere.
    data_address = models.GenericIPAddressField(null=True, blank=True)
    data_port = models.PositiveIntegerField(null=True, blank=True)

    agent_version = models.CharField(max_length=40, blank=True)
    isolation = models.CharField(max_length=20, default="container")
    publishes_images = models.BooleanField(default=False)  # may give everybody's hosts what they run
    capacity_sandboxes = models.PositiveIntegerField(default=0)
    capacity_memory_mb = models.PositiveIntegerField(default=0)
    capacity_vcpus = models.PositiveIntegerField(default=0)
    used_sandboxes = models.PositiveIntegerField(default=0)
    used_memory_mb = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # Capacity may shrink under running leases, so only growth is guarded (in services).
            models.CheckConstraint(condition=Q(boot_epoch__gte=0), name="host_boot_epoch_not_negative"),
            # A machine whose agent lost its key joins again under its name, once the former host is revoked.
            models.UniqueConstraint(
                fields=["name"], condition=Q(revoked_at__isnull=True), name="host_name_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> HostState:
        if self.revoked_at is not None:
            return HostState.REVOKED
        if self.boot_epoch == 0:
            return HostState.NEW
        if not self.is_online:
            return HostState.LOST
        return HostState.DRAINING if self.is_draining or self.is_agent_draining else HostState.ONLINE


class HostEvent(models.Model):
    """One thing that happened to a host: its history, written with the change itself."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=20, choices=[(k, k) for k in HostEventKind])
    by = models.CharField(max_length=254, blank=True)  # the e-mail address of who did it; empty: nobody

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["host", "-id"], name="host_event_newest")
        ]

    def __str__(self) -> str:
        return f"{self.host_id} {self.kind}"


HAS_ROOM = Q(used_sandboxes__lt=F("capacity_sandboxes"))
