"""The versions that a version is made of. One query, however long the chain is."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from workspaces.models import Version

# SQL that SQLite and PostgreSQL both know. `step` counts from the newest one back.
_WALK = """
WITH RECURSIVE chain(id, parent_id, step) AS (
    SELECT id, parent_id, 0 FROM workspaces_version WHERE id = %s
    UNION ALL
    SELECT version.id, version.parent_id, chain.step + 1
    FROM workspaces_version version JOIN chain ON version.id = chain.parent_id
)
"""
_VERSIONS = f"""{_WALK}
SELECT version.* FROM chain JOIN workspaces_version version ON version.id = chain.id
ORDER BY chain.step DESC
"""  # noqa: S608 - of constants
_SOUND = f"""{_WALK}
SELECT 1 FROM chain JOIN workspaces_version version ON version.id = chain.id
WHERE version.damaged_at IS NOT NULL LIMIT 1
"""  # noqa: S608
# What shares another version's objects (a fork, a restore) has no stored bytes of its own, and is fetched
# and received like any other: its stream's bytes stand for them.
_BYTES = "CASE WHEN version.stored_bytes > 0 THEN version.stored_bytes ELSE version.raw_bytes END"
_WEIGHT = f"""{_WALK}
SELECT
    COUNT(version.parent_id),
    COALESCE(SUM(CASE WHEN version.parent_id IS NULL THEN 0 ELSE {_BYTES} END), 0),
    COALESCE(SUM(CASE WHEN version.parent_id IS NULL THEN {_BYTES} ELSE 0 END), 0)
FROM chain JOIN workspaces_version version ON version.id = chain.id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class ChainWeight:
    """What it takes to restore a chain."""

    increments: int  # versions after the full one
    increments_bytes: int  # that they take in the bucket
    full_bytes: int  # that the full one takes


def chain(version_id: int) -> list[Version]:
    """The versions whose streams make this one, the full one first."""
    return list(Version.objects.raw(_VERSIONS, [version_id]))


def is_sound(version: Version) -> bool:
    """Nothing that the version needs is known to be damaged."""
    with connection.cursor() as cursor:
        cursor.execute(_SOUND, [version.pk])
        return cursor.fetchone() is None


def chain_weight(version_id: int) -> ChainWeight:
    with connection.cursor() as cursor:
        cursor.execute(_WEIGHT, [version_id])
        return ChainWeight(*map(int, cursor.fetchone()))
