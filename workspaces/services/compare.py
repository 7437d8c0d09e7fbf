"""What differs between two versions: asked of a host once, kept as long as both are there.

Nothing here waits. Whoever wants the answer calls `versions_compare` again, when `group_of` wakes him and now
and then: each call sees to it that a host is at work on it, so a host that died is noticed by those who wait,
and for nobody is anything asked.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.utils import timezone

from core.errors import MagsError
from core.wakeup import wake
from hosts.models import Host
from hosts.services import host_require_boot, host_sandbox_revision_next
from workspaces import paths, selectors
from workspaces.errors import (
    DiffFailed,
    DiffImpossible,
    NoHostToCompare,
    StaleQuestion,
    VersionDamaged,
)
from workspaces.models import Comparison, Version
from workspaces.states import CompareFailure, ComparisonState

logger = logging.getLogger(__name__)

ASK_LIMIT = timedelta(seconds=660)  # hosts give up after 600 s; later than this, another one is asked
ASKS_LIMIT = 3  # so many hosts (or lives of one) said nothing: it is the question that they do not survive
FAILED_FOR = timedelta(seconds=60)  # a failure is told so long before somebody is asked again
HOST_LIMIT = 8  # questions that one host may owe
OWNER_LIMIT = 8  # and that one owner may have under way
KEPT_OF_WORKSPACE = 100  # of at most 1 MiB each, mostly far less
KEPT_FOR = timedelta(days=7)

_FAILURES: dict[str, tuple[type[MagsError], str]] = {
    CompareFailure.DAMAGED: (VersionDamaged, ""),
    CompareFailure.TOO_DEEP: (DiffImpossible, ""),
    CompareFailure.UNAVAILABLE: (DiffFailed, "The host could not fetch the versions."),
    CompareFailure.OVERDUE: (DiffFailed, "The versions could not be compared in 10 minutes."),
    CompareFailure.UNANSWERED: (DiffFailed, "No host that was asked to compare the versions answered."),
}


@dataclass(frozen=True, slots=True)
class Paths:
    """Some paths of one kind of change, sorted, and how many there are in all."""

    listed: list[str] = field(default_factory=list)
    total: int = 0


@dataclass(frozen=True, slots=True)
class VersionDiff:
    added: Paths = Paths()
    changed: Paths = Paths()
    removed: Paths = Paths()

    @property
    def is_truncated(self) -> bool:
        return any(kind.total > len(kind.listed) for kind in (self.added, self.changed, self.removed))

    def reversed(self) -> VersionDiff:
        return VersionDiff(self.removed, self.changed, self.added)


@dataclass(frozen=True, slots=True)
class PathsFound:
    """What a host found of one kind of change."""

    listed: list[bytes]
    total: int


@dataclass(frozen=True, slots=True)
class Found:
    added: PathsFound
    changed: PathsFound
    removed: PathsFound


def versions_compare(before: Version, after: Version) -> VersionDiff | None:
    """What changed from one version to the other of a workspace; None while a host is at work on it.

    Raises VersionDamaged, DiffImpossible, DiffFailed or NoHostToCompare."""
    if before.manifest == after.manifest:
        return VersionDiff()
    _require_sound(before, after)
    old, new = sorted((before, after), key=lambda version: version.number)
    comparison = _kept(old, new)
    try:
        if _is_due(comparison):
            _ask(comparison)
    except Comparison.DoesNotExist:  # forgotten at this moment: the next call begins anew
        return None
    if comparison.state == ComparisonState.FAILED:
        raise _failure(comparison)
    if comparison.state != ComparisonState.ANSWERED:
        return None
    diff = _diff_of(comparison)
    return diff if before.number < after.number else diff.reversed()


def group_of(one: Version, other: Version) -> str:
    """Woken when the comparison of these two has ended."""
    return "comparison.{}.{}".format(*sorted((one.pk, other.pk)))


def question_answer(host: Host, boot_epoch: int, question: int, answer: Found | CompareFailure) -> None:
    """What the host says. Only the host that was asked, in the same life of its agent, is heard; a repeated
    answer changes nothing."""
    host_require_boot(host, boot_epoch)
    comparison = selectors.question_get(host, boot_epoch, question)
    if isinstance(answer, Found):
        changes = {"state": ComparisonState.ANSWERED, **_columns(answer)}
    else:
        changes = {"state": ComparisonState.FAILED, "failure": answer}
    asked = Comparison.objects.filter(
        pk=question, host=host, boot_epoch=boot_epoch, state=ComparisonState.ASKED
    )
    if asked.update(ended_at=timezone.now(), **changes):
        wake(group_of(comparison.old, comparison.new))
    elif comparison.state == ComparisonState.ASKED:  # taken away meanwhile
        raise StaleQuestion


def comparisons_expire() -> int:
    """Forget old answers. Returns how many went."""
    total, _ = Comparison.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    return total


def _require_sound(*versions: Version) -> None:
    broken = selectors.versions_broken(versions[0].workspace.owner_id)
    for version in versions:
        if version.pk in broken:
            raise VersionDamaged(f"Data of version {version.number} is missing or changed.")


def _kept(old: Version, new: Version) -> Comparison:
    kept = Comparison.objects.select_related("host", "old__workspace", "new")
    comparison, is_new = kept.get_or_create(old=old, new=new)
    if is_new:
        others = Comparison.objects.filter(old__workspace_id=old.workspace_id)
        idle = others.exclude(state=ComparisonState.ASKED)  # also those that nobody was asked
        oldest = idle.order_by("-created_at").values_list("pk", flat=True)[KEPT_OF_WORKSPACE:]
        Comparison.objects.filter(pk__in=list(oldest)).delete()
    return comparison


def _is_due(comparison: Comparison) -> bool:
    """Somebody is to be asked (again)."""
    match comparison.state:
        case ComparisonState.ANSWERED:
            return False
        case ComparisonState.FAILED:
            return _is_older(comparison.ended_at, FAILED_FOR)
        case ComparisonState.ASKED:
            return not _is_at_work(comparison) or _is_older(comparison.asked_at, ASK_LIMIT)
    return True


def _is_at_work(comparison: Comparison) -> bool:
    """The agent that was asked still lives, as far as is known."""
    host = comparison.host
    if host is None or not host.is_online or host.revoked_at is not None:
        return False
    return host.boot_epoch == comparison.boot_epoch


def _is_older(at: datetime | None, than: timedelta) -> bool:
    return at is None or at < timezone.now() - than


def _ask(comparison: Comparison) -> None:
    """Ask a host, unless somebody else does so just now; leave it waiting where all have enough to do."""
    asks = 0 if comparison.state == ComparisonState.FAILED else comparison.asks
    if asks >= ASKS_LIMIT:
        failed = {"failure": CompareFailure.UNANSWERED, "ended_at": timezone.now()}
        _write(comparison, state=ComparisonState.FAILED, asks=asks, **failed)
        return
    host = _host_for(comparison)
    if host is None:
        _write(comparison, state=ComparisonState.WAITING, asks=asks, failure="", ended_at=None)
        return
    with transaction.atomic():
        is_asked = _write(
            comparison, state=ComparisonState.ASKED, asks=asks + 1, failure="", ended_at=None, host=host,
            boot_epoch=host.boot_epoch, asked_at=timezone.now(),
        )  # fmt: skip
        if is_asked:
            revision = host_sandbox_revision_next(host.pk)
            Comparison.objects.filter(pk=comparison.pk).update(revision=revision)
            transaction.on_commit(partial(wake, f"host.{host.pk}"))


def _write(comparison: Comparison, **changes: object) -> bool:
    """Change it if it is as it was read; either way it is as it is now afterwards."""
    same = Comparison.objects.filter(
        pk=comparison.pk, state=comparison.state, asks=comparison.asks, asked_at=comparison.asked_at
    )
    is_won = bool(same.update(**changes))
    comparison.refresh_from_db(fields=list(changes))
    return is_won


def _host_for(comparison: Comparison) -> Host | None:
    """One that lives and does not owe too much already: the one with the workspace's newest data first, which
    needs to fetch the least; last the one that had this question and kept silent. Raises NoHostToCompare."""
    workspace = comparison.old.workspace
    under_way = _under_way().filter(old__workspace__owner_id=workspace.owner_id)
    silent = comparison.host_id if _is_at_work(comparison) else None
    rank = Case(
        When(pk=silent, then=Value(2)),
        When(pk=workspace.host_id, then=Value(0)),
        default=Value(1),
        output_field=IntegerField(),
    )
    owed = Count("comparisons", filter=Q(comparisons__in=_under_way()))
    hosts = Host.objects.filter(is_online=True, revoked_at__isnull=True).annotate(rank=rank, owed=owed)
    found = list(hosts.order_by("rank", "is_draining", "owed", "used_sandboxes", "name"))
    if not found:
        raise NoHostToCompare
    if under_way.count() >= OWNER_LIMIT:
        return None
    return next((host for host in found if host.owed < HOST_LIMIT), None)


def _under_way() -> QuerySet[Comparison]:
    since = timezone.now() - ASK_LIMIT  # nobody may have come back for older ones
    return Comparison.objects.filter(state=ComparisonState.ASKED, asked_at__gt=since)


def _failure(comparison: Comparison) -> MagsError:
    kind, message = _FAILURES.get(comparison.failure, (DiffFailed, ""))
    if kind is VersionDamaged:
        message = (
            f"Data of version {comparison.old.number} or {comparison.new.number} is missing or changed in the"
            " object store."
        )
    is_retryable = kind is DiffFailed
    return kind(message, retry_after_s=FAILED_FOR.total_seconds() if is_retryable else None)


def _columns(found: Found) -> dict[str, object]:
    columns: dict[str, object] = {}
    for name in ("added", "changed", "removed"):
        kind: PathsFound = getattr(found, name)
        columns |= {name: paths.pack(kind.listed), f"{name}_total": kind.total}
    return columns


def _diff_of(comparison: Comparison) -> VersionDiff:
    return VersionDiff(
        Paths(paths.unpack(bytes(comparison.added)), comparison.added_total),
        Paths(paths.unpack(bytes(comparison.changed)), comparison.changed_total),
        Paths(paths.unpack(bytes(comparison.removed)), comparison.removed_total),
    )
