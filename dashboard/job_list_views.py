"""The list of jobs, and what can be done to several of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.api.actor import actor_of
from core.errors import Invalid
from dashboard import selectors
from dashboard.composer import composer_context
from dashboard.job_filters import EXITS, STATUSES, TIMES, JobFilter
from dashboard.job_rows import job_rows
from dashboard.pages import address, page
from dashboard.snippets import first_steps
from jobs.services import job_stop

LIST_SIZE = 50
STOP_LIMIT = LIST_SIZE  # as many as are on a page
WORKSPACE_CHOICES = 200


@require_safe
@login_required
@never_cache
def jobs(request: HttpRequest) -> HttpResponse:
    actor, wanted = actor_of(request), JobFilter.of(request)
    shown = Paginator(wanted.jobs(actor), LIST_SIZE).get_page(request.GET.get("page"))
    has_jobs = bool(shown.object_list) or selectors.has_jobs(actor)
    context = {
        "jobs": job_rows(shown),
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "has_jobs": has_jobs,
        "wanted": wanted,
        "q": wanted.text,
        "status_choices": [
            {
                "label": label,
                "href": address(request, status=value, page=""),
                "is_current": value == wanted.status,
            }
            for value, label in STATUSES.items()
        ],
        "choices": _choices(request, wanted),
        "stopped": _stopped(request.GET.get("done", "")),
        **composer_context(request),
        **({} if has_jobs else {"steps": first_steps()}),
    }
    return page(request, "dashboard/jobs.html", "jobs", context)


@require_POST
@login_required
def stop(request: HttpRequest) -> HttpResponse:
    """Stop the chosen jobs, and show the list as it was. What is over already, or gone, is left out."""
    chosen = request.POST.getlist("job")
    if not 0 < len(chosen) <= STOP_LIMIT:
        raise Invalid(
            f"{len(chosen)} jobs were chosen.",
            remediation=f"Choose between 1 and {STOP_LIMIT} jobs that run.",
        )
    running = selectors.jobs_running(actor_of(request), chosen)
    for job in running:
        job_stop(job)
    query = request.POST.get("query", "").lstrip("?")
    return redirect(f"{reverse('dashboard:jobs')}?{query}{'&' if query else ''}done={len(running)}")


def _choices(request: HttpRequest, wanted: JobFilter) -> list[dict[str, Any]]:
    """The fields of the filter, with what each offers."""
    names = selectors.workspace_names(actor_of(request), WORKSPACE_CHOICES)
    if wanted.workspace and wanted.workspace not in names:
        names.insert(0, wanted.workspace)
    workspaces = {"": "Any workspace"} | {name: name for name in names}
    return [
        _choice("workspace", "Workspace", workspaces, wanted.workspace),
        _choice("exit", "Exit code", EXITS, wanted.exit),
        _choice("since", "Created", TIMES, wanted.since),
    ]


def _choice(name: str, label: str, options: Mapping[str, str], current: str) -> dict[str, Any]:
    return {"name": name, "label": label, "options": list(options.items()), "current": current}


def _stopped(done: str) -> str:
    """What was done by the form that led here."""
    if not (done.isascii() and done.isdecimal() and len(done) < 4):
        return ""
    count = int(done)
    if count == 0:
        return "Nothing was stopped: the jobs were over already."
    return "1 job is being stopped." if count == 1 else f"{count} jobs are being stopped."
