"""The pages of workspaces."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.api.actor import actor_of
from accounts.models import User
from core.errors import Invalid
from dashboard import selectors
from dashboard.pages import PAGE_SIZE, address, page, searched
from dashboard.workspace_cards import version_rows, workspace_card
from dashboard.workspace_forms import FORMS, WorkspaceForm
from workspaces.hooks import active_jobs, held_words
from workspaces.models import Workspace
from workspaces.selectors import last_good, version_list, versions_broken, workspace_get

SECTION = "workspaces"
DONE = {
    "restored": "Restored as a new version, the newest one now. The older versions are still there.",
    "forked": "Forked. This workspace goes its own way from here.",
    "resized": "The disk limit is changed.",
    "deleted": "The workspace is deleted.",
}


@require_safe
@login_required
@never_cache
def workspaces(request: HttpRequest) -> HttpResponse:
    actor, text = actor_of(request), searched(request)
    shown = Paginator(selectors.workspaces_named(actor, text), PAGE_SIZE).get_page(request.GET.get("page"))
    jobs = active_jobs([workspace.pk for workspace in shown])
    context = {
        "workspaces": [workspace_card(workspace, jobs.get(workspace.pk, "")) for workspace in shown],
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "has_workspaces": bool(shown.object_list) or selectors.has_workspaces(actor),
        "q": text,
        "done": DONE.get(request.GET.get("done", "")),
        "example": _example(),
    }
    return page(request, "dashboard/workspaces.html", SECTION, context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def workspace(request: HttpRequest, name: str) -> HttpResponse:
    """One workspace. Its forms come here too, so that what they say is on the page they were sent from."""
    actor = actor_of(request)
    found = workspace_get(actor, name)
    if request.method != "POST":
        return _shown(request, actor, found)
    kind = FORMS.get(request.POST.get("action", ""))
    if kind is None:
        raise Invalid
    form = kind(actor, found, request.POST)
    if form.perform():
        return redirect(form.next_href())
    # Read again: what refused the form may be news to the page.
    return _shown(request, actor, workspace_get(actor, name), form)


def _shown(
    request: HttpRequest, actor: User, found: Workspace, sent: WorkspaceForm | None = None
) -> HttpResponse:
    forms = {name: kind(actor, found) for name, kind in FORMS.items()}
    if sent is not None:
        forms[request.POST["action"]] = sent
    shown = Paginator(version_list(found), PAGE_SIZE).get_page(request.GET.get("page"))
    broken = versions_broken(found.owner_id)
    context = {
        "card": workspace_card(found, active_jobs([found.pk]).get(found.pk, "")),
        "versions": version_rows(shown, found.head_id, broken, has_older=shown.has_next()),
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "unsaved": held_words(found) if found.holder else "",
        "damage": found.damage if found.damaged_at else "",
        "good": last_good(found, broken) if found.damaged_at else None,
        "forms": forms,
        "done": DONE.get(request.GET.get("done", "")) if sent is None else None,
        "example": _example(found.name),
    }
    status = sent.status if sent is not None else 200
    return page(request, "dashboard/workspace.html", SECTION, context, status=status)


def _example(name: str = "my-space") -> str:
    return (
        f"export MAGS_API_URL={settings.PUBLIC_URL} MAGS_API_TOKEN=mags_…\n"
        f"mags run -p -w {name} 'date >> visits.txt; cat visits.txt'"
    )
