"""The form that runs a script, on whatever page it stands."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from accounts.api.actor import actor_of
from dashboard import presentation
from dashboard.pages import API
from jobs.selectors import job_get


def composer_context(request: HttpRequest) -> dict[str, Any]:
    """`?from=<job>` opens the form with that job's script and limits."""
    source = job_get(actor_of(request), request.GET["from"]) if "from" in request.GET else None
    return {"draft": presentation.draft(source) if source else None, "submit_href": f"{API}/mags-jobs"}
