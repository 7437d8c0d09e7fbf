"""Where the figures come from. A source answers facts for a window, of one account or of all.

What hosts meter will be one more source here; nothing above it needs to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from django.db import models
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from accounts.models import User
from jobs.models import Job, Lease
from sandboxes.models import Sandbox
from usage.amounts import Amounts, Fact, Key
from usage.models import NO_TOKEN, SleepSpan, StorageSpan
from usage.spans import Day, spans, spent
from usage.window import Window, split

Source = Callable[[Window, User | None], Iterator[Fact]]


def facts_of(window: Window, owner: User | None = None) -> Iterator[Fact]:
    """All that is known of the window, in parts: whoever wants totals adds them up."""
    for source in SOURCES:
        yield from source(window, owner)


def jobs_submitted(window: Window, owner: User | None) -> Iterator[Fact]:
    """A job counts once, on the day it was submitted, however often it was tried."""
    jobs = Job.objects.filter(created_at__gte=window.begins_at, created_at__lt=window.ends_at)
    rows = _of(jobs, owner, "owner").order_by().annotate(submitted_on=Day("created_at"))
    counted = rows.values("owner", "submitted_on", "workspace_name", "token").annotate(total=Count("pk"))
    columns = ("owner", "submitted_on", "workspace_name", "token", "total")
    for user, day, workspace, token, total in counted.values_list(*columns):
        key = Key(user, date.fromisoformat(day), workspace, token or NO_TOKEN)
        yield key, Amounts(jobs=total)


def ephemeral_sandboxes(window: Window, owner: User | None) -> Iterator[Fact]:
    """One that lives with its script: from the start of the script to its end, for every attempt."""
    leases = _of(Lease.objects.filter(in_sandbox__isnull=True), owner, "job__owner")
    found = spans(
        leases, owner=F("job__owner"), workspace=F("job__workspace_name"), token=F("job__token"),
        began=F("started_at"), ended=F("ended_at"),
    )  # fmt: skip
    for key, ms in spent(found, window):
        yield key, Amounts(awake_ms=ms)


def held_sandboxes(window: Window, owner: User | None) -> Iterator[Fact]:
    """One that has a workspace or stays: from when its host said that it is up until it has ended."""
    found = spans(
        _of(Sandbox.objects.all(), owner, "owner"), owner=F("owner"),
        workspace=Coalesce("workspace__name", Value("")), token=_token_of("pk", "workspace", "created_at"),
        began=F("up_at"), ended=F("ended_at"),
    )  # fmt: skip
    for key, ms in spent(found, window):
        yield key, Amounts(awake_ms=ms)


def sleep(window: Window, owner: User | None) -> Iterator[Fact]:
    """Times in which held sandboxes were frozen. They are counted as asleep, and taken off what is awake."""
    found = spans(
        _of(SleepSpan.objects.all(), owner, "sandbox__owner"), owner=F("sandbox__owner"),
        workspace=Coalesce("sandbox__workspace__name", Value("")),
        token=_token_of("sandbox", "sandbox__workspace", "sandbox__created_at"),
        began=F("began_at"), ended=Coalesce("ended_at", "sandbox__ended_at"),
    )  # fmt: skip
    for key, ms in spent(found, window):
        yield key, Amounts(awake_ms=-ms, asleep_ms=ms)


def storage(window: Window, owner: User | None) -> Iterator[Fact]:
    """Bytes times time. Multiplied here: the product is too large for the database's integers."""
    stored = _of(StorageSpan.objects.filter(began_at__lt=window.ends_at), owner, "owner")
    lasting = stored.filter(Q(ended_at__isnull=True) | Q(ended_at__gt=window.begins_at))
    columns = ("owner", "workspace", "size_bytes", "began_at", "ended_at")
    for user, workspace, size, began, ended in lasting.values_list(*columns).iterator():
        for day, ms in split(began, ended or window.now, window):
            yield Key(user, day, workspace, NO_TOKEN), Amounts(storage_byte_ms=size * ms)


SOURCES: tuple[Source, ...] = (jobs_submitted, ephemeral_sandboxes, held_sandboxes, sleep, storage)


def _of(rows: QuerySet[Any], owner: User | None, column: str) -> QuerySet[Any]:
    return rows if owner is None else rows.filter(**{column: owner})


def _token_of(sandbox: str, workspace: str, created_at: str) -> Coalesce:
    """Whose token a held sandbox counts for: of the job that was the first in it; of one that was made
    without a script, of the job that said then what it is to be like. Both stay what they are, so the same
    day is answered alike however late it is asked for."""
    token = Coalesce("job__token", Value(NO_TOKEN), output_field=models.BigIntegerField())
    first = Lease.objects.filter(in_sandbox=OuterRef(sandbox)).order_by("pk").values(found=token)[:1]
    said = Job.objects.filter(
        workspace=OuterRef(workspace), is_persistent=True, created_at__lte=OuterRef(created_at)
    ).order_by("-created_at")
    own = Coalesce("token", Value(NO_TOKEN), output_field=models.BigIntegerField())
    return Coalesce(
        Subquery(first), Subquery(said.values(found=own)[:1]), Value(NO_TOKEN),
        output_field=models.BigIntegerField(),
    )  # fmt: skip
