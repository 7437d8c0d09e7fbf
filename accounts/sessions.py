"""Beginning and ending what a browser is signed in by."""

from __future__ import annotations

from django.contrib.auth import login
from django.db.models import F
from django.http import HttpRequest

from accounts import confirmation
from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import User

# Looks the account up for every session, however it began; an inactive one is nobody.
BACKEND = "accounts.backends.LimitedBackend"


def sign_in(request: HttpRequest, user: User, method: str) -> None:
    """Under a new session key: one that somebody else planted in the browser before is worth nothing."""
    login(request, user, backend=BACKEND)
    confirmation.mark(request)
    note(user, EventKind.SIGNED_IN, request, method=method)


def end_all(user: User, request: HttpRequest) -> None:
    """Every session of theirs, on this browser too. WebSockets notice when they look again, after seconds."""
    User.objects.filter(pk=user.pk).update(session_generation=F("session_generation") + 1)
    note(user, EventKind.SIGNED_OUT_EVERYWHERE, request)
