"""Every read of usage. For people the actor comes first and sees nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date

from django.db.models import Min, QuerySet, Sum

from accounts.models import ApiToken, User
from files.models import Upload
from jobs.models import Job
from usage.amounts import HOUR_MS, Amounts, Fact, Key
from usage.models import DailyUsage, Progress
from usage.report import Report, report_make
from usage.sources import facts_of
from usage.window import Window
from workspaces.models import Version

UPLOADS = ""  # in the place of a workspace's name
_COLUMNS = (
    "owner", "day", "workspace", "token_number", "storage_byte_hours",
    *(field.name for field in fields(Amounts) if field.name != "storage_byte_ms"),
)  # fmt: skip
Stored = dict[tuple[int, str], int]  # bytes by owner and workspace


def usage_read(actor: User, window: Window) -> Report:
    """What the actor used: of days that are written down from there, of the others from what is known now.
    Whoever acts with a token for one workspace is not told of others."""
    progress = Progress.objects.first() or Progress()
    facts = _facts(actor, window, progress)
    stored = _stored(Version.objects.filter(workspace__owner=actor), Upload.objects.filter(owner=actor))
    sizes = {name: size for (_, name), size in stored.items()}
    if actor.only_workspace:
        facts = (fact for fact in facts if fact[0].workspace == actor.only_workspace)
        sizes = {name: size for name, size in sizes.items() if name == actor.only_workspace}
    since = progress.storage_since
    return report_make(
        window, facts, tokens=_tokens(actor), stored=sizes,
        storage_since=since.astimezone(UTC).date() if since else None,
    )  # fmt: skip


def stored_now() -> Stored:
    """What everybody has in the bucket."""
    return _stored(Version.objects.all(), Upload.objects.all())


def first_day() -> date | None:
    """On which a job was submitted; None where there is none."""
    first = Job.objects.aggregate(at=Min("created_at"))["at"]
    return first.astimezone(UTC).date() if first else None


def _facts(actor: User, window: Window, progress: Progress) -> Iterator[Fact]:
    before = progress.written_before or date.min
    written = DailyUsage.objects.filter(owner=actor, day__gte=window.first, day__lte=window.last)
    yield from _written(written.filter(day__lt=before))
    rest = window.since(before)
    if rest is not None:
        yield from facts_of(rest, actor)


def _written(rows: QuerySet[DailyUsage]) -> Iterator[Fact]:
    for owner, day, workspace, token, byte_hours, *rest in rows.values_list(*_COLUMNS).iterator():
        stored = None if byte_hours is None else byte_hours * HOUR_MS
        yield Key(owner, day, workspace, token), Amounts(stored, *rest)


def _stored(versions: QuerySet[Version], uploads: QuerySet[Upload]) -> Stored:
    kept = versions.filter(workspace__deleted_at__isnull=True).order_by()
    by_workspace = kept.values("workspace__owner", "workspace__name").annotate(size=Sum("stored_bytes"))
    found: Stored = {
        (owner, name): size
        for owner, name, size in by_workspace.values_list("workspace__owner", "workspace__name", "size")
    }
    by_owner = uploads.order_by().values("owner").annotate(size=Sum("size_bytes"))
    return found | {(owner, UPLOADS): size for owner, size in by_owner.values_list("owner", "size")}


def _tokens(actor: User) -> dict[int, ApiToken]:
    """Also those that were revoked: what they used stays theirs."""
    return {token.pk: token for token in ApiToken.objects.filter(owner=actor)}
