"""The pages of one job, and of tokens. Thin: selectors read, services write, presentation words it, templates
show it."""

from __future__ import annotations

import secrets
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.api.actor import actor_of
from accounts.models import User
from accounts.selectors import token_list
from core.idempotency import digest_of, idempotent
from dashboard import presentation, selectors
from dashboard.cli_forms import SCOPE_CHOICES
from dashboard.job_rows import job_row
from dashboard.pages import API, PAGE_SIZE, address, page
from dashboard.sandbox_boxes import sandbox_context
from dashboard.sandbox_cards import has_shell
from dashboard.timeline import SHOWN_LIMIT, timeline
from jobs.models import Job
from jobs.selectors import job_get
from jobs.services import JobSpec, job_submit

SCRIPT_SHOWN_CHARS = 16_384
WORKSPACES_SUGGESTED = 200


@require_safe
@login_required
@never_cache
def job(request: HttpRequest, reference: str) -> HttpResponse:
    actor = actor_of(request)
    found = job_get(actor, reference)
    lease = selectors.current_lease(found)
    head = found.script[: SCRIPT_SHOWN_CHARS + 1]
    isolation = lease.host.isolation if lease else ""
    card = job_row(found, head)
    context = {
        "card": card,
        "stages": presentation.stages(found),
        "facts": presentation.facts(found, card.host, isolation),
        **_history(found),
        "script": head[:SCRIPT_SHOWN_CHARS],
        "is_script_cut": len(head) > SCRIPT_SHOWN_CHARS,
        "again_key": secrets.token_hex(16),
        "stop_href": f"{API}/mags-jobs/{found.pk}/stop",
        "socket_path": f"/ws/jobs/{found.pk}/logs",
        **(sandbox_context(actor, found) if has_shell(found) else {}),
    }
    return page(request, "dashboard/job.html", "jobs", context)


@require_POST
@login_required
def again(request: HttpRequest, reference: str) -> HttpResponse:
    """Run the same script once more, with everything it was given. The form's key makes it once."""
    actor = actor_of(request)
    found = job_get(actor, reference)
    digest = digest_of("POST", request.path, {})

    def create() -> tuple[int, dict[str, Any]]:
        return 202, {"request_id": str(job_submit(actor, None, _spec(found)).pk)}

    _, answer = idempotent(actor, request.POST.get("key", "")[:64], digest, create)
    return redirect("dashboard:job", answer["request_id"])


@require_safe
@login_required
@never_cache
def script(request: HttpRequest, reference: str) -> HttpResponse:
    found = job_get(actor_of(request), reference)
    return HttpResponse(found.script, content_type="text/plain; charset=utf-8")


@require_safe
@login_required
@never_cache
async def output(request: HttpRequest, reference: str) -> StreamingHttpResponse:
    """The raw output so far, as a file."""
    actor = cast("User", await request.auser())
    found = await sync_to_async(job_get)(actor, reference)
    return StreamingHttpResponse(
        selectors.raw_output(found),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="mags-{found.pk}.log"'},
    )


@require_safe
@login_required
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    shown = Paginator(token_list(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "tokens": shown.object_list,
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "tokens_href": f"{API}/auth/tokens",
        "public_url": settings.PUBLIC_URL,
        "login_command": f"mags login --url {settings.PUBLIC_URL}",
        "scopes": SCOPE_CHOICES,
        "workspaces": selectors.workspaces_named(actor, "").values_list("name", flat=True)[
            :WORKSPACES_SUGGESTED
        ],
        "now": timezone.now(),
    }
    return page(request, "dashboard/tokens.html", "tokens", context)


def _history(job: Job) -> dict[str, Any]:
    events = selectors.newest_events(job, SHOWN_LIMIT + 1)
    return {
        "timeline": timeline(job, events[:SHOWN_LIMIT]),
        "has_more_events": len(events) > SHOWN_LIMIT,
        "events_href": f"{API}/mags-jobs/{job.pk}/events",
    }


def _spec(job: Job) -> JobSpec:
    return JobSpec(
        script=job.script, name=job.name, environment=job.environment, image=job.image, vcpus=job.vcpus,
        memory_mb=job.memory_mb, disk_gb=job.disk_gb, timeout_s=job.timeout_s, retries=job.retries,
    )  # fmt: skip
