"""Whether somebody has shown lately that they are who their session says.

A browser that was left open, or a stolen cookie, must not be enough to get into an account for good. Signing
in counts, and so does confirming it once more; it holds for this session only.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest
from django.utils import timezone

from accounts.audit import note
from accounts.errors import ConfirmationNeeded
from accounts.event_kinds import EventKind
from accounts.models import User

CONFIRMED_AT = "confirmed_at"  # in the session: seconds since 1970


def mark(request: HttpRequest) -> None:
    """They have just shown it."""
    request.session[CONFIRMED_AT] = timezone.now().timestamp()


def confirm(request: HttpRequest, user: User, method: str) -> None:
    """Under a new session key: whoever else has the old one gains nothing by it, and is signed out. `user` is
    as the check has left it, for it writes passwords anew that were hashed in an older way."""
    update_session_auth_hash(request, user)
    mark(request)
    note(user, EventKind.CONFIRMED, request, method=method)


def is_confirmed(request: HttpRequest) -> bool:
    at = request.session.get(CONFIRMED_AT)
    if not isinstance(at, float):
        return False
    return 0 <= timezone.now().timestamp() - at < settings.CONFIRMED_MINUTES * 60


def require(request: HttpRequest) -> None:
    """Raises ConfirmationNeeded."""
    if not is_confirmed(request):
        raise ConfirmationNeeded
