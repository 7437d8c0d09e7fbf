"""Every write to aliases."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from aliases.errors import AliasTaken
from aliases.models import Alias
from aliases.names import name_check
from core.live import Topic, tell
from workspaces.selectors import workspace_get


def alias_create(owner: User, name: str, workspace: str, port: int | None) -> Alias:
    """Let `name` lead to the owner's workspace. Raises BadAliasName, WorkspaceNotFound, AliasTaken."""
    name_check(name)
    found = workspace_get(owner, workspace)
    with transaction.atomic():
        # Whoever released it may have it back at once.
        is_free = Q(owner=owner, released_at__isnull=False) | Q(released_at__lt=_quarantine_began())
        Alias.objects.filter(is_free, name=name).delete()
        tell(owner.pk, Topic.ALIASES)
        try:
            with transaction.atomic():
                return Alias.objects.create(name=name, owner=owner, workspace_name=found.name, port=port)
        except IntegrityError as error:
            raise AliasTaken(f"The alias {name} already exists.") from error


def alias_release(alias: Alias) -> None:
    """It leads nowhere from now on, and nobody else gets it for a while."""
    Alias.objects.filter(pk=alias.pk, released_at__isnull=True).update(released_at=timezone.now())
    tell(alias.owner_id, Topic.ALIASES)


def aliases_expire() -> int:
    """Remove the rows of names that are free again."""
    count, _ = Alias.objects.filter(released_at__lt=_quarantine_began()).delete()
    return count


def _quarantine_began() -> datetime:
    return timezone.now() - timedelta(days=settings.ALIAS_QUARANTINE_DAYS)
