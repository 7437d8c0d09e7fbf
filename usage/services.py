"""Every write of usage. All of it may be repeated, and be late."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from sandboxes.models import Sandbox
from usage import selectors
from usage.amounts import Amounts, Key, summed
from usage.models import DailyUsage, Progress, SleepSpan, StorageSpan
from usage.sources import facts_of
from usage.window import DAY, midnight, one_day

# Days that are written anew although they are over: a host that was away tells late what happened on them.
# After that a day stays as it is, whatever becomes of the rows that it was counted from.
OPEN_DAYS = 2
DAYS_OF_A_RUN = 31  # after a longer absence the next run goes on
ROWS_AT_ONCE = 500


def sleep_changed(sandbox: Sandbox) -> None:
    """It was frozen or thawed just now, in the transaction of its host's report."""
    now = timezone.now()
    since = sandbox.asleep_since
    if since is None:
        SleepSpan.objects.filter(sandbox=sandbox, ended_at__isnull=True).update(ended_at=now)
    else:  # by the host's clock: not before the sandbox was up, by ours
        began_at = min(max(since, sandbox.up_at or since), now)
        SleepSpan.objects.create(sandbox=sandbox, began_at=began_at)


def storage_look() -> int:
    """Note what is stored now, where it is another amount than at the last look. Returns how often it was."""
    with transaction.atomic():
        progress = _progress()
        now = timezone.now()
        sizes = {place: size for place, size in selectors.stored_now().items() if size}
        known = StorageSpan.objects.filter(ended_at__isnull=True)
        same = {
            (span.owner_id, span.workspace)
            for span in known
            if sizes.get((span.owner_id, span.workspace)) == span.size_bytes
        }
        over = [span.pk for span in known if (span.owner_id, span.workspace) not in same]
        StorageSpan.objects.filter(pk__in=over).update(ended_at=now)
        begun = [
            StorageSpan(owner_id=owner, workspace=workspace, size_bytes=size, began_at=now)
            for (owner, workspace), size in sizes.items()
            if (owner, workspace) not in same
        ]
        StorageSpan.objects.bulk_create(begun, batch_size=ROWS_AT_ONCE)
        if progress.storage_since is None:
            progress.storage_since = now
            progress.save(update_fields=["storage_since"])
    return len(over) + len(begun)


def usage_write_down() -> int:
    """Write down the days that are over. Returns how many were written."""
    now = timezone.now()
    today = now.astimezone(UTC).date()
    first = _first_open(today)
    days = [first + number * DAY for number in range(min((today - first).days, DAYS_OF_A_RUN))]
    for day in days:
        _day_write(day, now)
    if not days:
        _day_reached(today)
    _spans_forget()
    return len(days)


def _first_open(today: date) -> date:
    progress = Progress.objects.first()
    if progress is None or progress.written_before is None:
        return min(selectors.first_day() or today, today)
    return progress.written_before - OPEN_DAYS * DAY


def _day_write(day: date, now: datetime) -> None:
    # Read before the lock is taken: nothing else may be written meanwhile.
    sums = summed(facts_of(one_day(day, now)))
    rows = [_row(key, amounts) for key, amounts in sums.items() if not amounts.is_nothing]
    with transaction.atomic():
        progress = _progress()
        before = progress.written_before
        if before is not None and day < before - OPEN_DAYS * DAY:
            return  # this run was held up for days, and others went on
        DailyUsage.objects.filter(day=day).delete()
        DailyUsage.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)
        _reach(progress, day + DAY)


def _day_reached(day: date) -> None:
    with transaction.atomic():
        _reach(_progress(), day)


def _reach(progress: Progress, day: date) -> None:
    if progress.written_before is None or progress.written_before < day:
        progress.written_before = day
        progress.save(update_fields=["written_before"])


def _row(key: Key, amounts: Amounts) -> DailyUsage:
    return DailyUsage(
        owner_id=key.owner, day=key.day, workspace=key.workspace, token_number=key.token, jobs=amounts.jobs,
        awake_ms=max(0, amounts.awake_ms), asleep_ms=amounts.asleep_ms,
        storage_byte_hours=amounts.storage_byte_hours, cpu_ms=amounts.cpu_ms,
        memory_mb_s=amounts.memory_mb_s, received_bytes=amounts.received_bytes,
        sent_bytes=amounts.sent_bytes,
    )  # fmt: skip


def _spans_forget() -> None:
    """Remove what only days need that are not written again."""
    before = Progress.objects.get().written_before
    if before is None:
        return
    ended = midnight(before - OPEN_DAYS * DAY)
    StorageSpan.objects.filter(ended_at__lte=ended).delete()
    SleepSpan.objects.filter(
        Q(ended_at__lte=ended) | Q(ended_at__isnull=True, sandbox__ended_at__lte=ended)
    ).delete()


def _progress() -> Progress:
    """The row, held until the transaction ends."""
    Progress.objects.get_or_create(pk=1)
    return Progress.objects.select_for_update().get(pk=1)
