"""Is this process up, and could it answer?"""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core import redis
from core.errors import Unavailable

_is_migrated = False  # once true it stays true for this process


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """The process answers. Looks at nothing else, so that an outage elsewhere restarts nobody."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """200 with the state of the parts; 503 when the database is away or not migrated.

    Without Redis everything still works, more slowly: it is `degraded`, not down.
    """
    _check_database()
    has_redis = redis.attempt(lambda client: client.ping()) is not None
    parts = {"database": "ok", "redis": "ok" if has_redis else "degraded"}
    return JsonResponse({"status": "ok" if has_redis else "degraded", **parts})


def _check_database() -> None:
    global _is_migrated
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _is_migrated:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if missing:
                raise Unavailable(
                    f"{len(missing)} database migrations are missing.", remediation="Run `manage.py migrate`."
                )
            _is_migrated = True
    except DatabaseError as error:
        raise Unavailable("The database is not available.", retry_after_s=1) from error
