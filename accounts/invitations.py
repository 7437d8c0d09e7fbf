"""Who may sign in through a provider: `MAGS_SIGN_IN_DOMAINS`, `MAGS_SIGN_IN_INVITE_ONLY`, and who is invited.

An invitation admits an address of any domain. Accounts with a password sign in without all of this.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import Invitation, User


def has_domain_rule() -> bool:
    return bool(settings.SIGN_IN_DOMAINS)


def admits_domain(email: str, domain: str) -> bool:
    """`domain` is that of the address, or empty where the provider cannot tell that it still is."""
    return not has_domain_rule() or domain in settings.SIGN_IN_DOMAINS or _invited(email)


def admits_new(email: str) -> bool:
    return not settings.SIGN_IN_INVITE_ONLY or _invited(email)


def _invited(email: str) -> bool:
    return Invitation.objects.filter(email__iexact=email).exists()


def invite(email: str, invited_by: User | None = None) -> bool:
    """Let them in. False if they were invited before."""
    with transaction.atomic():
        invited, is_new = Invitation.objects.get_or_create(
            email__iexact=email, defaults={"email": email.lower(), "invited_by": invited_by}
        )
        if is_new:
            note(invited_by, EventKind.INVITATION_CREATED, email=invited.email)
    return is_new


def accept(email: str, user: User) -> None:
    """Note who came, if it was by invitation."""
    waiting = Invitation.objects.filter(email__iexact=email, accepted_at=None)
    if waiting.update(accepted_at=timezone.now(), accepted_by=user):
        note(user, EventKind.INVITATION_ACCEPTED)
