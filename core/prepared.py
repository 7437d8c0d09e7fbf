"""Queries that are compiled once and then only run: Django builds and compiles the same SQL at every call,
which takes several times as long as SQLite takes to run it (docs/decisions/0103).

    _BY_DIGEST = Prepared(lambda: Host.objects.filter(key_digest=Param("digest")))
    host = _BY_DIGEST.first(digest=digest)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from django.db import connection, models
from django.db.models import Field, QuerySet
from django.db.models.expressions import Expression
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=models.Model)
Sql = tuple[str, tuple[Any, ...]]


class Param(Expression):
    """Stands for a value that is given when the query runs. `field` says how the database takes it, where
    that differs from how Python holds it (ids, times, JSON)."""

    def __init__(self, name: str, field: Field[Any, Any] | None = None) -> None:
        super().__init__(output_field=field)
        self.name = name
        self.column = field

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:  # noqa: ARG002 - Django's names
        return "%s", [self]

    def bound(self, values: dict[str, Any]) -> Any:
        value = values[self.name]
        return self.column.get_db_prep_value(value, connection) if self.column else value


class Prepared(Generic[M]):
    """A query for objects. No `select_related`: annotate what is wanted of other tables."""

    def __init__(self, build: Callable[[], QuerySet[M]]) -> None:
        self._build = build
        self._model: type[M] | None = None
        self._sql: Sql | None = None

    def all(self, **values: Any) -> list[M]:
        if self._sql is None or self._model is None:
            rows = self._build()
            self._model, self._sql = rows.model, rows.query.sql_with_params()
        sql, params = self._sql
        return list(self._model._default_manager.raw(sql, _bound(params, values)))

    def first(self, **values: Any) -> M | None:
        return next(iter(self.all(**values)), None)


class PreparedUpdate(Generic[M]):
    """A guarded UPDATE. Answers how many rows it changed."""

    def __init__(self, build: Callable[[], QuerySet[M]], **changes: Any) -> None:
        self._build = build
        self._changes = changes
        self._sql: Sql | None = None

    def __call__(self, **values: Any) -> int:
        if self._sql is None:
            query: Any = self._build().query.chain(UpdateQuery)
            query.add_update_values(self._changes)
            self._sql = cast("Sql", query.get_compiler(connection.alias).as_sql())
        sql, params = self._sql
        with connection.cursor() as cursor:
            cursor.execute(sql, _bound(params, values))
            changed: int = cursor.rowcount
            return changed


def part_of(model: type[M], **columns: Any) -> M:
    """An object of which a query read these columns, under other names. The rest is read when asked for."""
    # In the order of the model's fields: `from_db` goes by that, not by the names.
    read = [field for field in model._meta.concrete_fields if field.attname in columns]
    values = [_converted(field, columns[field.attname]) for field in read]
    return model.from_db(connection.alias, [field.attname for field in read], values)


def _converted(field: Field[Any, Any], value: Any) -> Any:
    """What `raw` does to columns of its own table only: the database's value as Python's."""
    column = field.cached_col
    backend = connection.ops.get_db_converters(column)
    for convert in [*backend, *field.get_db_converters(connection)]:
        value = convert(value, column, connection)
    return value


def _bound(params: Sequence[Any], values: dict[str, Any]) -> list[Any]:
    return [param.bound(values) if isinstance(param, Param) else param for param in params]
