"""What the command palette finds by name: the few things that somebody most likely means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.api.actor import actor_of
from accounts.models import User
from dashboard import presentation, selectors
from dashboard.pages import searched
from dashboard.sandbox_cards import sandbox_card

SHOWN_EACH = 5
QUERY_CHARACTERS = 100  # names are shorter


@dataclass(frozen=True, slots=True)
class Entry:
    """One to choose. All of it is text that others may have written."""

    label: str
    hint: str
    href: str


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    section: str  # whose icon its entries have, by its address
    entries: list[Entry]


@require_safe
@login_required
@never_cache
def palette(request: HttpRequest) -> JsonResponse:
    """Groups of entries. Without a word to look for: the newest jobs."""
    actor, text = actor_of(request), searched(request)[:QUERY_CHARACTERS]
    groups = _found(actor, text) if text else [_jobs(actor, "", "Recent jobs")]
    return JsonResponse({"groups": [asdict(group) for group in groups if group.entries]})


def _found(actor: User, text: str) -> Iterator[Group]:
    yield _jobs(actor, text, "Jobs")
    yield _workspaces(actor, text)
    yield _sandboxes(actor, text)


def _jobs(actor: User, text: str, title: str) -> Group:
    rows = selectors.jobs_with_heads(actor, text=text)[: SHOWN_EACH + 1]
    cards = [presentation.job_card(job, job.head, "") for job in rows]  # type: ignore[attr-defined]
    entries = [Entry(card.title, card.label, card.href) for card in cards[:SHOWN_EACH]]
    if text and len(cards) > SHOWN_EACH:
        entries.append(
            Entry("All jobs like this", "", f"{reverse('dashboard:jobs')}?{urlencode({'q': text})}")
        )
    return Group(title, reverse("dashboard:jobs"), entries)


def _workspaces(actor: User, text: str) -> Group:
    names = selectors.workspaces_named(actor, text).values_list("name", flat=True)
    return Group(
        "Workspaces",
        reverse("dashboard:workspaces"),
        [Entry(name, "", reverse("dashboard:workspace", args=[name])) for name in names[:SHOWN_EACH]],
    )


def _sandboxes(actor: User, text: str) -> Group:
    alive = selectors.with_sandboxes(selectors.jobs_alive(actor, text)[:SHOWN_EACH])
    cards = [sandbox_card(job, live) for job, live in alive]
    entries = [Entry(card.name, card.label, f"{card.href}#terminal") for card in cards]
    return Group("Sandboxes", reverse("dashboard:sandboxes"), entries)
