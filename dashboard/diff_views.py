"""The page that compares two versions of a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.api.actor import actor_of
from core.errors import MagsError
from dashboard.diffs import DiffCard, diff_card
from dashboard.pages import page, searched
from workspaces.errors import (
    DiffFailed,
    DiffImpossible,
    NoHostToCompare,
    NotSaved,
    VersionDamaged,
    VersionNotFound,
)
from workspaces.models import Version, Workspace
from workspaces.selectors import version_list, version_pair, workspace_get
from workspaces.services import versions_compare

SECTION = "workspaces"
CHOICE_LIMIT = 500  # versions to choose from
NUMBER_LIMIT = 2**31 - 1
# What the errors advise is for programs.
ADVICE: dict[type[MagsError], str] = {
    VersionNotFound: "Choose two that are in the list.",
    NotSaved: "A workspace is saved by `mags run -p` and `mags sync`.",
    VersionDamaged: "Compare versions that are not marked as damaged.",
    NoHostToCompare: "This page looks again by itself.",
    DiffFailed: "It is tried again in a minute; this page looks by itself.",
}


@dataclass(slots=True)
class _Look:
    """What there is to say at this moment."""

    before: Version | None = None
    after: Version | None = None
    card: DiffCard | None = None
    problem: MagsError | None = None

    @property
    def is_waiting(self) -> bool:
        """It is worth another look soon."""
        if self.problem is not None:
            return self.problem.retryable
        return self.card is None

    @property
    def status(self) -> int:
        return 404 if isinstance(self.problem, VersionNotFound) else 200

    @property
    def advice(self) -> str:
        if self.problem is None:
            return ""
        return ADVICE.get(type(self.problem), self.problem.remediation)


@require_safe
@login_required
@never_cache
def diff(request: HttpRequest, name: str) -> HttpResponse:
    """Never waits for a host: while one is at work the page says so, and asks again."""
    workspace = workspace_get(actor_of(request), name)
    text = searched(request)
    look = _look(workspace, request, text)
    context: dict[str, Any] = {
        "workspace": workspace,
        "look": look,
        "q": text,
        "choices": list(version_list(workspace).values_list("number", flat=True)[:CHOICE_LIMIT]),
    }
    return page(request, "dashboard/diff.html", SECTION, context, status=look.status)


def _look(workspace: Workspace, request: HttpRequest, text: str) -> _Look:
    look = _Look()
    try:
        numbers = _number(request, "from"), _number(request, "to")
        look.before, look.after = version_pair(workspace, *numbers)
        found = versions_compare(look.before, look.after)
        look.card = diff_card(found, text) if found is not None else None
    except (VersionNotFound, NotSaved, VersionDamaged, NoHostToCompare, DiffFailed, DiffImpossible) as error:
        look.problem = error
    return look


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 11 else 0
    if not 0 < number <= NUMBER_LIMIT:
        raise VersionNotFound
    return number
