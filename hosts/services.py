"""Every write to hosts."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, F, IntegerField, QuerySet
from django.utils import timezone

from core.live import Topic, tell_staff
from core.prepared import Param, Prepared, PreparedUpdate
from hosts.errors import BadEnrolmentToken, BadHostKey, HostNameTaken, NoSuchHost, StaleBoot
from hosts.models import EnrolmentToken, Host, HostEvent
from hosts.states import HostEventKind

KEY_PREFIX = "magshost_"
ENROLMENT_PREFIX = "magsenrol_"


@dataclass(frozen=True)
class Capacity:
    """What a host offers to sandboxes."""

    sandboxes: int
    memory_mb: int
    vcpus: int

    def as_fields(self) -> dict[str, int]:
        return {
            "capacity_sandboxes": self.sandboxes,
            "capacity_memory_mb": self.memory_mb,
            "capacity_vcpus": self.vcpus,
        }


@dataclass(frozen=True)
class DataAddress:
    """Where a host's data port listens."""

    address: str
    port: int


@dataclass(frozen=True)
class Boot:
    """A life of a host's agent that has just begun."""

    epoch: int
    is_machine_rebooted: bool  # the machine restarted since the agent's former life
    revision: int


def digest_of(secret: str) -> str:
    """What is stored of a key or token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def enrolment_token_create(lifetime: timedelta, *, publishes_images: bool = False) -> str:
    """The text of a new one-time token. Only its digest is stored. `publishes_images`: the host that joins
    with it may publish images, which run on everybody's machines."""
    text = ENROLMENT_PREFIX + secrets.token_urlsafe(32)
    EnrolmentToken.objects.create(
        digest=digest_of(text), expires_at=timezone.now() + lifetime, publishes_images=publishes_images
    )
    return text


def host_enrol(token: str, name: str, agent_version: str) -> tuple[Host, str]:
    """A new host and the text of its key, against a token that is used up by this."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    now = timezone.now()
    with transaction.atomic():
        usable = EnrolmentToken.objects.filter(
            digest=digest_of(token), used_at__isnull=True, expires_at__gt=now
        )
        if not usable.update(used_at=now):
            raise BadEnrolmentToken
        used = EnrolmentToken.objects.get(digest=digest_of(token))
        try:
            with transaction.atomic():
                host = Host.objects.create(
                    name=name, key_digest=digest_of(key), agent_version=agent_version,
                    publishes_images=used.publishes_images,
                )  # fmt: skip
        except IntegrityError as error:
            raise HostNameTaken from error
        EnrolmentToken.objects.filter(pk=used.pk).update(host=host)
        _note(host.pk, HostEventKind.ENROLLED)
    return host, key


def host_boot(
    host_id: UUID,
    *,
    machine_boot_id: str,
    agent_version: str,
    isolation: str,
    capacity: Capacity,
    data: DataAddress | None = None,
) -> Boot:
    """Begin a new life of the agent: all that older ones still say is refused from now on."""
    with transaction.atomic():
        host = Host.objects.select_for_update().filter(pk=host_id, revoked_at__isnull=True).first()
        if host is None:
            raise BadHostKey
        epoch = host.boot_epoch + 1
        is_won = Host.objects.filter(pk=host_id, boot_epoch=host.boot_epoch).update(
            boot_epoch=epoch,
            machine_boot_id=machine_boot_id,
            agent_version=agent_version,
            isolation=isolation,
            data_address=data.address if data else None,
            data_port=data.port if data else None,
            is_online=True,
            is_agent_draining=False,
            last_seen_at=timezone.now(),
            **capacity.as_fields(),
        )
        if not is_won:
            raise StaleBoot
        _note(host_id, HostEventKind.BOOTED)
        return Boot(epoch, host.machine_boot_id not in ("", machine_boot_id), host.revision)


def host_heartbeat(host_id: UUID, boot_epoch: int, *, capacity: Capacity, is_agent_draining: bool) -> bool:
    """Take note that the host lives. True: it is to drain."""
    is_current = _current(host_id, boot_epoch).update(
        is_online=True,
        last_seen_at=timezone.now(),
        is_agent_draining=is_agent_draining,
        **capacity.as_fields(),
    )
    if not is_current:
        raise StaleBoot
    last = HostEvent.objects.filter(host_id=host_id).order_by("-pk").values_list("kind", flat=True).first()
    if last == HostEventKind.LOST:
        _note(host_id, HostEventKind.BACK)
    return is_agent_draining or Host.objects.filter(pk=host_id, is_draining=True).exists()


def host_touch(host_id: UUID, boot_epoch: int) -> None:
    """The host was heard of. Refuses older lives of its agent."""
    if not _TOUCH(host_id=host_id, boot_epoch=boot_epoch, now=timezone.now()):
        raise StaleBoot


def host_require_boot(host: Host, boot_epoch: int) -> None:
    """Refuse what an older life of the agent says. Costs no query; writes check again themselves."""
    if host.boot_epoch != boot_epoch:
        raise StaleBoot


def host_offline(host_id: UUID, *, silent_since: datetime) -> bool:
    """Give the host up unless it was heard of meanwhile. True: it is offline by this call."""
    silent = Host.objects.filter(pk=host_id, is_online=True, last_seen_at__lt=silent_since)
    if not silent.update(is_online=False):
        return False
    _note(host_id, HostEventKind.LOST)
    return True


def host_revision_next(host_id: UUID) -> int:
    """Count up what the agent polls by. Call it in the transaction that makes the change."""
    _COUNT_UP(host_id=host_id)
    (host,) = _REVISION.all(host_id=host_id)
    return host.revision


def host_sandbox_revision_next(host_id: UUID) -> int:
    """As `host_revision_next`, for a change of a held sandbox or a question: a host without any is not asked
    about them."""
    _COUNT_UP_SANDBOXES(host_id=host_id)
    (host,) = _REVISION.all(host_id=host_id)
    return host.revision


def hosts_image_revision_next() -> list[UUID]:
    """Let every host be asked about images at its next poll. Returns whom to wake once that is committed."""
    current = Host.objects.filter(revoked_at__isnull=True)
    # In one order: two of these must not wait for each other's hosts.
    ids = list(current.select_for_update().order_by("pk").values_list("pk", flat=True))
    current.filter(pk__in=ids).update(revision=F("revision") + 1, image_revision=F("revision") + 1)
    return ids


def host_take_room(host_id: UUID, memory_mb: int) -> bool:
    """Take the room of one sandbox if the host still takes work and has it."""
    return bool(_TAKE_ROOM(host_id=host_id, memory_mb=memory_mb))


def host_give_room(host_id: UUID, memory_mb: int) -> None:
    """Give back what `host_take_room` took, once, with the end of the lease."""
    _GIVE_ROOM(host_id=host_id, memory_mb=memory_mb)


def host_drain(name: str, *, is_draining: bool, by: str = "") -> None:
    """Let the host finish what it has and give it nothing new, or end that."""
    with transaction.atomic():
        host = _named(name)
        if Host.objects.filter(pk=host.pk, is_draining=not is_draining).update(is_draining=is_draining):
            _note(host.pk, HostEventKind.DRAINED if is_draining else HostEventKind.UNDRAINED, by)


def host_publishes_images(name: str, *, is_allowed: bool) -> None:
    """Let the host publish images, or end that."""
    if not Host.objects.filter(name=name, revoked_at__isnull=True).update(publishes_images=is_allowed):
        raise NoSuchHost


def host_revoke(name: str, *, by: str = "") -> None:
    """Refuse the host's key from now on, and free its name. Its leases end as those of a lost host do."""
    with transaction.atomic():
        host = _named(name)
        if Host.objects.filter(pk=host.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
            _note(host.pk, HostEventKind.REVOKED, by)


def _named(name: str) -> Host:
    host = Host.objects.filter(name=name, revoked_at__isnull=True).first()
    if host is None:
        raise NoSuchHost
    return host


def _note(host_id: UUID, kind: HostEventKind, by: str = "") -> None:
    """Write it down, in the transaction of the change itself."""
    HostEvent.objects.create(host_id=host_id, kind=kind, by=by)
    tell_staff(Topic.HOSTS)


def _current(host_id: UUID, boot_epoch: int) -> QuerySet[Host]:
    return Host.objects.filter(pk=host_id, boot_epoch=boot_epoch, revoked_at__isnull=True)


_HOST_ID = Param("host_id", Host._meta.pk)
_MEMORY_MB = Param("memory_mb", IntegerField())
_TOUCH = PreparedUpdate(
    lambda: Host.objects.filter(pk=_HOST_ID, boot_epoch=Param("boot_epoch"), revoked_at__isnull=True),
    is_online=True,
    last_seen_at=Param("now", DateTimeField()),
)
_COUNT_UP = PreparedUpdate(lambda: Host.objects.filter(pk=_HOST_ID), revision=F("revision") + 1)
_COUNT_UP_SANDBOXES = PreparedUpdate(
    lambda: Host.objects.filter(pk=_HOST_ID),
    revision=F("revision") + 1,
    sandbox_revision=F("revision") + 1,
)
_REVISION = Prepared(lambda: Host.objects.filter(pk=_HOST_ID).only("revision"))
_TAKE_ROOM = PreparedUpdate(
    lambda: Host.objects.filter(
        pk=_HOST_ID,
        is_online=True,
        is_draining=False,
        is_agent_draining=False,
        revoked_at__isnull=True,
        used_sandboxes__lt=F("capacity_sandboxes"),
        used_memory_mb__lte=F("capacity_memory_mb") - _MEMORY_MB,
    ),
    used_sandboxes=F("used_sandboxes") + 1,
    used_memory_mb=F("used_memory_mb") + _MEMORY_MB,
)
_GIVE_ROOM = PreparedUpdate(
    lambda: Host.objects.filter(pk=_HOST_ID, used_sandboxes__gte=1, used_memory_mb__gte=_MEMORY_MB),
    used_sandboxes=F("used_sandboxes") - 1,
    used_memory_mb=F("used_memory_mb") - _MEMORY_MB,
)
