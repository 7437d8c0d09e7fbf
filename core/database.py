"""What Django's ORM does not say about the two databases."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

from django.db import OperationalError, connection, models, transaction
from django.db.models import QuerySet

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=models.Model)


def write_unless_locked(rows: QuerySet[M], **values: Any) -> bool:
    """Update the rows if that is possible at once; never wait for a lock, never fail.

    For what is nice to have, on paths that must be quick.
    """
    try:
        if connection.vendor == "sqlite":
            return _write_sqlite(rows, values)
        with transaction.atomic():
            free = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
            return bool(rows.model._default_manager.filter(pk__in=list(free)).update(**values))
    except OperationalError as error:
        logger.debug("skipped a write: %s", error)
        return False


def _write_sqlite(rows: QuerySet[M], values: dict[str, Any]) -> bool:
    patience_ms = int(connection.settings_dict["OPTIONS"]["timeout"]) * 1000
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=0")
        try:
            return bool(rows.update(**values))
        finally:
            cursor.execute(f"PRAGMA busy_timeout={patience_ms}")
