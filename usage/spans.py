"""Times that rows of the database last, added up by day.

Most begin and end on the same day: the database adds those up. The few that go over midnight, or have not
ended, are read and split here. So the number of queries does not depend on how many days are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, Q, QuerySet, Sum
from django.db.models.sql.compiler import SQLCompiler

from usage.amounts import Key
from usage.window import Window, split

KEY = ("span_owner", "span_day", "span_workspace", "span_token")
READ_AT_ONCE = 2000


class Day(Func):
    """The UTC day of a time, as `2026-11-23`. Faster than TruncDate, which on SQLite is written in Python."""

    output_field = models.CharField()
    arity = 1

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 10)", **extra)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        template = "to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        return self.as_sql(compiler, connection, template=template, **extra)


class UnixMs(Func):
    """A time as whole milliseconds since 1970, rounded down."""

    output_field = models.BigIntegerField()
    arity = 1

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        # As Django stores it: "2026-11-23 07:30:00", with ".123456" behind it if that is not zero.
        seconds = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        millis = "CAST(substr(%(expressions)s || '.000', 21, 3) AS INTEGER)"
        return self.as_sql(compiler, connection, template=f"({seconds} * 1000 + {millis})", **extra)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        template = "floor(extract(epoch from %(expressions)s) * 1000)::bigint"
        return self.as_sql(compiler, connection, template=template, **extra)


def spans(
    rows: QuerySet[Any], *, owner: Any, workspace: Any, token: Any, began: Any, ended: Any
) -> QuerySet[Any]:
    """`rows` with whose they are and how long they last; columns, or expressions without parameters.
    A row that has not begun is none."""
    lasting = rows.order_by().annotate(span_began=began, span_ended=ended)
    begun: QuerySet[Any] = lasting.filter(span_began__isnull=False)
    whose: QuerySet[Any] = begun.annotate(span_owner=owner, span_workspace=workspace, span_token=token)
    return whose


def spent(found: QuerySet[Any], window: Window) -> Iterator[tuple[Key, int]]:
    """How many milliseconds of the window they took, by day."""
    in_window = found.filter(span_began__lt=window.ends_at).filter(
        Q(span_ended__isnull=True) | Q(span_ended__gt=window.begins_at)
    )
    whole = in_window.annotate(span_day=Day("span_began"), span_last=Day("span_ended"))
    is_within = Q(span_day=F("span_last"))
    sums = whole.filter(is_within).values(*KEY).annotate(ms=Sum(UnixMs("span_ended") - UnixMs("span_began")))
    for owner, day, workspace, token, ms in sums.values_list(*KEY, "ms"):
        yield Key(owner, date.fromisoformat(day), workspace, token or 0), ms
    rest = whole.filter(~is_within | Q(span_ended__isnull=True))
    columns = ("span_owner", "span_workspace", "span_token", "span_began", "span_ended")
    for owner, workspace, token, began, ended in rest.values_list(*columns).iterator(READ_AT_ONCE):
        yield from _split(owner, workspace, token, began, ended or window.now, window)


def _split(
    owner: int, workspace: str, token: int | None, began: datetime, ended: datetime, window: Window
) -> Iterator[tuple[Key, int]]:
    for day, ms in split(began, ended, window):
        yield Key(owner, day, workspace, token or 0), ms
