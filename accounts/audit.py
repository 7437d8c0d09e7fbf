"""What happened to accounts, for their owners and for administrators to look at."""

from __future__ import annotations

from django.http import HttpRequest

from accounts.event_kinds import EventKind
from accounts.models import SecurityEvent, User
from core.addresses import client_address

AGENT_CHARACTERS = 200
DETAIL_CHARACTERS = 200
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def note(user: User | None, kind: EventKind, request: HttpRequest | None = None, **detail: object) -> None:
    """Write an event. `request` is what caused it, if one did; of the API, that within DRF's.

    `detail` explains the kind in words and numbers (a token's name, why a sign-in failed); never a secret.
    """
    agent = request.headers.get("User-Agent", "") if request is not None else ""
    SecurityEvent.objects.create(
        user=user,
        kind=kind,
        address=client_address(request) if request is not None else "",
        agent=harmless(agent, AGENT_CHARACTERS),
        detail={name: _plain(value) for name, value in detail.items()},
    )


def harmless(text: str, limit: int) -> str:
    """One line of at most so many characters, without what moves a cursor or turns the writing around."""
    shown = "".join(character if character.isprintable() else UNKNOWN for character in text)
    return shown.strip()[:limit]


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else harmless(str(value), DETAIL_CHARACTERS)
