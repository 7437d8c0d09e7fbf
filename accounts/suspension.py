"""Keeping somebody out, without taking what is theirs."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest

from accounts import hooks
from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import User


def user_allow(user: User, *, is_active: bool, by: str, request: HttpRequest | None = None) -> bool:
    """Let them in, or keep them out: sessions, tokens, keys and URLs count by `is_active`, from the commit
    on. What runs goes on. False: it was so already.

    Sessions do not come back with the right: somebody else may have had one."""
    with transaction.atomic():
        generation = F("session_generation") + (0 if is_active else 1)
        others = User.objects.filter(pk=user.pk, is_active=not is_active)
        if not others.update(is_active=is_active, session_generation=generation):
            return False
        user.is_active = is_active
        note(user, EventKind.USER_RESTORED if is_active else EventKind.USER_SUSPENDED, request, by=by)
        transaction.on_commit(partial(hooks.changed, user))
    return True


def has_belongings(user: User) -> bool:
    """Whether there is anything that would go with the account."""
    return any(getattr(user, name).exists() for name in BELONGINGS)


# Relations of the apps above; none of them is there for an account that only ever looked.
BELONGINGS = ("jobs", "workspaces", "sandboxes", "uploads", "aliases", "execs")
