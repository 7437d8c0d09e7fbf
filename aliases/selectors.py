"""Every read of aliases. For people the actor comes first and sees nobody else's."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import User
from aliases.errors import AliasNotFound
from aliases.models import Alias
from core.labels import LABEL


def alias_get(actor: User, name: str) -> Alias:
    """Raises AliasNotFound alike for what is missing and for what is somebody else's."""
    label = name.lower()
    found = alias_list(actor).filter(name=label).first() if LABEL.fullmatch(label) else None
    if found is None:
        raise AliasNotFound
    return found


def alias_list(actor: User) -> QuerySet[Alias]:
    """The actor's aliases, newest first."""
    mine = Alias.objects.filter(owner=actor, released_at__isnull=True).order_by("-created_at", "-pk")
    return mine.filter(workspace_name=actor.only_workspace) if actor.only_workspace else mine


def alias_find(label: str) -> Alias | None:
    """Whoever's alias it is, while they may sign in: for visitors."""
    if not LABEL.fullmatch(label):
        return None
    live = Alias.objects.filter(released_at__isnull=True, owner__is_active=True)
    return live.filter(name=label).select_related("owner").first()
