"""Every write to doors and grants."""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import User
from core.wakeup import wake
from ssh.errors import NoPortLeft, NoSshSecret
from ssh.models import Door, Grant
from ssh.selectors import Place, door_find

LIST_GROUP = "ssh"  # woken when what gateways listen on has changed
PORT_TRIES = 20  # another request may take the same one


def door_group(door: Door) -> str:
    """Woken when a gateway or a host has said something about it."""
    return f"ssh.{door.pk}"


def door_open(owner: User, place: Place) -> Door:
    """The door to a place; a new one if it has none. Raises NoPortLeft, NoSshSecret."""
    if not settings.SSH_SECRET:
        raise NoSshSecret
    for _ in range(PORT_TRIES):
        if (door := door_find(place)) is not None:
            return door
        doors_expire()
        port = _port_choose()
        try:
            with transaction.atomic():
                door = Door.objects.create(port=port, owner=owner, workspace_id=place[0], sandbox_id=place[1])
                transaction.on_commit(partial(wake, LIST_GROUP))
                return door
        except IntegrityError:  # somebody took the port, or opened the same door
            continue
    raise NoPortLeft


def _port_choose() -> int:
    """At random, so that two who look at once rarely meet, and nobody can tell how many there are."""
    taken = set(Door.objects.values_list("port", flat=True))
    free = [port for port in settings.SSH_PORTS if port not in taken]
    if not free:
        raise NoPortLeft
    return random.choice(free)  # noqa: S311 - not a secret


def grant_give(door: Door, user: User) -> Grant:
    """The user's key to the door; one of a new generation where the last was revoked."""
    grant, _ = Grant.objects.get_or_create(door=door, user=user)
    revoked = Grant.objects.filter(pk=grant.pk, revoked_at__isnull=False)
    if revoked.update(revoked_at=None, generation=F("generation") + 1):
        grant.refresh_from_db()
    return grant


def grant_revoke(door: Door, user: User) -> bool:
    """False: there was none."""
    live = Grant.objects.filter(door=door, user=user, revoked_at__isnull=True)
    return bool(live.update(revoked_at=timezone.now()))


def door_answered(place: Place, sandbox_id: str, digest: str) -> None:
    """The sandbox's host says that these keys are in force there."""
    door = door_find(place)
    if door is None:
        return
    Door.objects.filter(pk=door.pk).update(answered=digest, answered_by=sandbox_id)
    transaction.on_commit(partial(wake, door_group(door)))


def ports_heard(listed: Collection[str], blocked: Collection[int]) -> None:
    """A gateway listens on all that were listed to it, but for these, which are in use on its machine. A door
    that was never open gets another port: nobody was told of it."""
    fresh = list(Door.objects.filter(opened_at__isnull=True, released_at__isnull=True, port__in=listed))
    for door in fresh:
        if door.port in blocked:
            _move(door)
        elif Door.objects.filter(pk=door.pk, port=door.port).update(opened_at=timezone.now()):
            wake(door_group(door))


def _move(door: Door) -> None:
    for _ in range(PORT_TRIES):
        try:
            with transaction.atomic():
                Door.objects.filter(pk=door.pk, port=door.port).update(port=_port_choose())
        except IntegrityError:
            continue
        except NoPortLeft:  # whoever opened it is told that nobody listens there; the others' ports are heard
            return
        wake(LIST_GROUP)
        return


def doors_release(doors: QuerySet[Door]) -> None:
    """They lead nowhere any more, and nobody gets their ports for a while."""
    if doors.filter(released_at__isnull=True).update(released_at=timezone.now()):
        transaction.on_commit(partial(wake, LIST_GROUP))


def doors_expire() -> None:
    """Release what leads to a deleted workspace, and forget doors whose quarantine is over."""
    doors_release(Door.objects.filter(workspace__deleted_at__isnull=False))
    Door.objects.filter(released_at__lt=_quarantine_began()).delete()


def _quarantine_began() -> datetime:
    return timezone.now() - timedelta(hours=settings.SSH_QUARANTINE_HOURS)
