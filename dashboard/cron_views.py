"""The page of schedules. Until Mags has its own, it says how to use those of others."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.pages import page

SCRIPT = "mags run -w backups './backup.sh'"


@require_safe
@login_required
@never_cache
def cron(request: HttpRequest) -> HttpResponse:
    context = {"crontab": _crontab(), "workflow": _workflow()}
    return page(request, "dashboard/cron.html", "cron", context)


def _crontab() -> str:
    return f"MAGS_API_URL={settings.PUBLIC_URL}\nMAGS_API_TOKEN=mags_…\n0 3 * * *  {SCRIPT}"


def _workflow() -> str:
    return (
        "on:\n"
        "  schedule:\n"
        '    - cron: "0 3 * * *"\n'
        "jobs:\n"
        "  backup:\n"
        "    runs-on: ubuntu-latest\n"
        "    env:\n"
        f"      MAGS_API_URL: {settings.PUBLIC_URL}\n"
        "      MAGS_API_TOKEN: ${{ secrets.MAGS_API_TOKEN }}\n"
        "    steps:\n"
        "      - run: pip install ./clients/python  # of a checkout of Mags\n"
        f"      - run: {SCRIPT}"
    )
