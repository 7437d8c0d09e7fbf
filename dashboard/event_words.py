"""Security events as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from accounts.event_kinds import EventKind
from accounts.models import SecurityEvent
from accounts.sign_in_errors import Refusal

WORDS: Mapping[str, str] = {
    EventKind.SIGNED_IN: "Signed in with {method}",
    EventKind.SIGN_IN_FAILED: "An attempt to sign in with {method} failed",
    EventKind.SIGNED_OUT: "Signed out",
    EventKind.SIGNED_OUT_EVERYWHERE: "Signed out everywhere",
    EventKind.CONFIRMED: "Confirmed with {method} that it was you",
    EventKind.CONFIRM_FAILED: "An attempt to confirm with {method} that it was you failed",
    EventKind.ACCOUNT_CREATED: "The account was made by signing in with {provider}",
    EventKind.PROFILE_CHANGED: "Changed the name",
    EventKind.PASSWORD_CHANGED: "Changed the password",
    EventKind.IDENTITY_LINKED: "Linked {provider}",
    EventKind.IDENTITY_UNLINKED: "Unlinked {provider}",
    EventKind.TOKEN_CREATED: "Created the token {token}",
    EventKind.TOKEN_REVOKED: "Revoked the token {token}",
    EventKind.CLI_AUTHORISED: "Let the command line on {host} have a token",
    EventKind.CLI_DENIED: "Refused a command line that asked for a token",
    EventKind.USER_SUSPENDED: "An administrator switched the account off",
    EventKind.USER_RESTORED: "An administrator switched the account on again",
    EventKind.INVITATION_CREATED: "Invited {email}",
    EventKind.INVITATION_ACCEPTED: "Accepted the invitation to this server",
}
REASONS: Mapping[str, str] = {
    Refusal.DENIED: "it was cancelled there",
    Refusal.EXPIRED: "it was over, or begun in another browser",
    Refusal.UNVERIFIED: "the e-mail address is not verified there",
    Refusal.DOMAIN: "the domain of its e-mail address is not allowed",
    Refusal.INACTIVE: "the account is switched off",
    Refusal.EMAIL_TAKEN: "it is not linked to this account",
    Refusal.IDENTITY_TAKEN: "it is linked to another account",
    Refusal.NOT_LINKED: "it is not the one that is linked to this account",
    Refusal.OTHER_PERSON: "somebody else had signed in meanwhile",
    Refusal.UNAVAILABLE: "the provider did not answer",
}
# The first that is found counts: browsers also name the ones that they are like.
PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
TROUBLE = (EventKind.SIGN_IN_FAILED, EventKind.CONFIRM_FAILED, EventKind.USER_SUSPENDED)


@dataclass(frozen=True, slots=True)
class EventRow:
    sentence: str
    at: datetime
    address: str
    agent: str
    browser: str
    is_trouble: bool


def event_row(event: SecurityEvent) -> EventRow:
    return EventRow(
        sentence=_sentence(event),
        at=event.at,
        address=event.address,
        agent=event.agent,
        browser=browser_words(event.agent),
        is_trouble=event.kind in TROUBLE,
    )


def browser_words(agent: str) -> str:
    """The program and its system, where they are known ones; else the first word of what it says."""
    program = next((name for mark, name in PROGRAMS if mark in agent), agent.partition("/")[0][:40])
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return f"{program} on {system}" if program and system else program


def _sentence(event: SecurityEvent) -> str:
    words = WORDS.get(event.kind, event.kind.replace("_", " ").capitalize())
    said = words.format_map(_Details(event.detail))
    reason = REASONS.get(str(event.detail.get("reason", "")))
    return f"{said}: {reason}" if reason else said


class _Details(dict[str, object]):
    """Of events that an older version wrote, something may be missing."""

    def __missing__(self, key: str) -> str:
        return "…"
