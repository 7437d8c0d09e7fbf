"""Every read of doors."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch, Q, QuerySet

from ssh import keys
from ssh.models import Door, Grant

REVISION_BITS = 52  # JSON numbers are exact so far
Place = tuple[UUID | None, str]  # a workspace and "", or None and a sandbox


@dataclass(frozen=True, slots=True)
class Locks:
    """What a sandbox needs so that people can log in; `digest` names this very content."""

    host_key: str
    authorized_keys: tuple[str, ...]
    digest: str


def place_of(workspace_id: UUID | None, sandbox_id: str | None) -> Place:
    return (workspace_id, "") if workspace_id else (None, sandbox_id or "")


def doors_open() -> QuerySet[Door]:
    """Those that lead somewhere: the workspace is there, and the owner may sign in."""
    kept = Q(workspace__isnull=True) | Q(workspace__deleted_at__isnull=True)
    return Door.objects.filter(kept, released_at__isnull=True, owner__is_active=True)


def door_find(place: Place) -> Door | None:
    workspace_id, sandbox_id = place
    here = Q(workspace_id=workspace_id) if workspace_id else Q(sandbox_id=sandbox_id, workspace=None)
    return doors_open().filter(here).first()


def doors_of(places: Collection[Place]) -> dict[Place, Door]:
    """The doors to these places, with those who have keys. None while SSH is not set up."""
    if not settings.SSH_SECRET:
        return {}
    workspaces = [workspace_id for workspace_id, _ in places if workspace_id]
    sandboxes = [sandbox_id for _, sandbox_id in places if sandbox_id]
    found = doors_open().filter(Q(workspace__in=workspaces) | Q(sandbox_id__in=sandboxes))
    return {(door.workspace_id, door.sandbox_id): door for door in with_grants(found)}


def with_grants(doors: QuerySet[Door]) -> QuerySet[Door]:
    """With the live ones read."""
    live = Grant.objects.filter(revoked_at__isnull=True, user__is_active=True).order_by("pk")
    return doors.prefetch_related(Prefetch("grants", live, to_attr="live_grants"))


def locks_of(door: Door) -> Locks:
    """Of a door read `with_grants`."""
    host = keys.host_key(door)
    grants: list[Grant] = door.live_grants  # type: ignore[attr-defined]  # a prefetch names it
    users = tuple(f"{keys.public_text(keys.user_key(grant))} u{grant.user_id}" for grant in grants)
    digest = hashlib.sha256("\n".join([keys.public_text(host), *users]).encode()).hexdigest()
    return Locks(keys.private_text(host), users, digest)


def is_answered(door: Door, sandbox_id: str) -> bool:
    """Whether the sandbox's host has said that the present keys are in force there."""
    fresh = with_grants(Door.objects.filter(pk=door.pk)).get()
    return fresh.answered_by == sandbox_id and fresh.answered == locks_of(fresh).digest


def is_opened(door: Door) -> bool:
    """Whether a gateway has ever listened on its port."""
    return Door.objects.filter(pk=door.pk, opened_at__isnull=False).exists()


def ssh_url(port: int) -> str:
    """As people and programs write it."""
    host = settings.SSH_HOST
    return f"ssh://root@[{host}]:{port}" if ":" in host else f"ssh://root@{host}:{port}"


def ports_listed() -> dict[str, str]:
    """What gateways are to listen on: {port: label}"""
    pairs = doors_open().order_by("port").values_list("port", "pk")
    return {str(port): str(door_id) for port, door_id in pairs}


def revision_of(ports: dict[str, Any]) -> int:
    """Names the content of a list, so nobody has to count its changes."""
    text = "\n".join(f"{port} {label}" for port, label in ports.items())
    return int.from_bytes(hashlib.sha256(text.encode()).digest()) >> (256 - REVISION_BITS)
