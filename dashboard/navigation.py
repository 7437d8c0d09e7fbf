"""Where the dashboard leads: its sections, in groups, with the keys that go there."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser

from accounts.models import User


@dataclass(frozen=True, slots=True)
class Section:
    name: str  # as `pages.page` is called with, and its icon
    label: str
    href: str
    key: str  # after "g"

    @property
    def icon(self) -> str:
        return f"dashboard/icons/{self.name}.svg"


@dataclass(frozen=True, slots=True)
class Group:
    title: str  # empty: needs none
    sections: tuple[Section, ...]


MAIN = (
    Group("", (Section("home", "Home", "/", "h"),)),
    Group(
        "Compute",
        (
            Section("jobs", "Jobs", "/jobs/", "j"),
            Section("sandboxes", "Sandboxes", "/sandboxes/", "s"),
            Section("cron", "Cron", "/cron/", "c"),
            Section("aliases", "Aliases", "/aliases/", "a"),
        ),
    ),
    Group(
        "Storage",
        (
            Section("workspaces", "Workspaces", "/workspaces/", "w"),
            Section("files", "Files", "/files/", "f"),
        ),
    ),
    Group(
        "Account",
        (
            Section("usage", "Usage", "/usage/", "u"),
            Section("tokens", "Tokens", "/tokens/", "t"),
            Section("settings", "Settings", "/settings/", ","),
        ),
    ),
)
STAFF = Group("Server", (Section("hosts", "Hosts", "/hosts/", "o"),))
PUBLIC = Group("", (Section("docs", "Docs", "/docs/", "d"),))


def navigation(visitor: User | AnonymousUser) -> list[Group]:
    """What this visitor is offered."""
    if not visitor.is_authenticated:
        return [PUBLIC]
    return [*MAIN, *([STAFF] if visitor.is_staff else []), PUBLIC]
