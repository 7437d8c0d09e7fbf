"""The page of uploads: what is there, until when, and who took it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.api.actor import actor_of
from dashboard.file_cards import file_card, shell_command
from dashboard.file_uses import jobs_with_files
from dashboard.pages import PAGE_SIZE, address, page
from files.selectors import upload_list

API = "/api/v1"
UPLOADS = f"{API}/mags-files"


@require_safe
@login_required
@never_cache
def files(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    shown = Paginator(upload_list(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    uses = jobs_with_files(actor, [str(upload.pk) for upload in shown])
    context = {
        "files": [file_card(upload, uses.get(str(upload.pk), []), UPLOADS) for upload in shown],
        "page": shown,
        "newer_href": address(request, page=shown.number - 1),
        "older_href": address(request, page=shown.number + 1),
        "upload_href": UPLOADS,
        "limit_mb": settings.FILE_LIMIT_MB,
        "limit_bytes": settings.FILE_LIMIT_MB * 1024 * 1024,
        "ttl_days": settings.FILE_TTL_DAYS,
        "example_cli": "mags run -f data.csv 'wc -l /uploads/data.csv'",
        "example_curl": _curl_example(),
        "job_command": shell_command(f"{settings.PUBLIC_URL}{API}/mags-jobs"),
    }
    return page(request, "dashboard/files.html", "files", context)


def _curl_example() -> str:
    return (
        f"curl {settings.PUBLIC_URL}{UPLOADS} \\\n"
        '  -H "Authorization: Bearer $MAGS_API_TOKEN" -F file=@data.csv'
    )
