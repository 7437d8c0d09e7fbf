"""Tells the open pages of a person that something of theirs changed, so that they look again.

`/ws/live` (docs/reference/websocket.md) carries it. Any service may call `tell`, whatever app it is in.
"""

from __future__ import annotations

from enum import StrEnum

from core.wakeup import wake_on_commit


class Topic(StrEnum):
    """What may have changed."""

    JOBS = "jobs"
    SANDBOXES = "sandboxes"
    WORKSPACES = "workspaces"
    ALIASES = "aliases"
    FILES = "files"
    TOKENS = "tokens"
    HOSTS = "hosts"
    USAGE = "usage"


def tell(owner_id: int, *topics: Topic) -> None:
    """Once the present transaction commits."""
    wake_on_commit(*(live_group(owner_id, topic) for topic in topics))


def live_group(owner_id: int, topic: Topic) -> str:
    """What `core.wakeup` knows it as."""
    return f"live.{owner_id}.{topic}"


def tell_staff(*topics: Topic) -> None:
    """As `tell`, about what belongs to the installation: to all who look after it."""
    wake_on_commit(*(staff_group(topic) for topic in topics))


def staff_group(topic: Topic) -> str:
    return f"live.staff.{topic}"
