"""The page of usage: totals, charts by day, and who used it."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.api.actor import actor_of
from accounts.models import User
from dashboard.pages import API, address, page
from dashboard.presentation import size_text
from dashboard.usage_charts import charts, not_metered
from dashboard.usage_words import NOT_METERED, hours_text, time_text
from usage.amounts import Amounts
from usage.report import Report, TokenUsage
from usage.selectors import usage_read
from usage.window import window_of
from workspaces.selectors import workspace_list

WINDOWS = (7, 30, 90)
DAYS = 30
ROWS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Row:
    """What a workspace or a token used. `share` is in per cent of the one that used most."""

    name: str
    note: str  # "revoked", "deleted"
    prefix: str  # of a token
    href: str
    jobs: int
    awake: str
    asleep: str
    stored: str
    share: float


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    note: str = ""

    @property
    def is_metered(self) -> bool:
        return self.value != NOT_METERED


@require_safe
@login_required
@never_cache
def usage(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    days = _days(request.GET.get("days", ""))
    report = usage_read(actor, window_of(days, timezone.now()))
    context = {
        "is_empty": report.total.is_nothing and not report.storage_bytes,
        "days": days,
        "windows": [
            {"label": f"{choice} days", "href": address(request, days=choice), "is_current": choice == days}
            for choice in WINDOWS
        ],
        "first_day": report.window.first,
        "last_day": report.window.last,
        "now": report.window.now,
        "tiles": _tiles(report),
        "charts": charts(report.total, report.days),
        "not_metered": not_metered(report.total),
        "workspaces": _workspace_rows(actor, report),
        "workspaces_more": len(report.workspaces) - ROWS_SHOWN,
        "tokens": _token_rows(report),
        "tokens_more": len(report.tokens) - ROWS_SHOWN,
        "csv_href": f"{API}/mags-jobs/usage?window_days={days}&format=csv",
        "example_cli": "mags usage --days 7 --by day",
    }
    return page(request, "dashboard/usage.html", "usage", context)


def _days(text: str) -> int:
    return int(text) if text in {str(choice) for choice in WINDOWS} else DAYS


def _tiles(report: Report) -> list[Tile]:
    total = report.total
    asleep = f"and {time_text(total.asleep_ms)} asleep" if total.asleep_ms else ""
    memory = total.memory_mb_s
    return [
        Tile("Jobs", f"{total.jobs:,}"),
        Tile("Sandbox time", time_text(total.awake_ms), asleep),
        Tile("Stored now", size_text(report.storage_bytes)),
        Tile("CPU time", time_text(total.cpu_ms)),
        Tile("Memory", NOT_METERED if memory is None else hours_text(memory)),
        _traffic(total),
    ]


def _traffic(total: Amounts) -> Tile:
    if total.received_bytes is None and total.sent_bytes is None:
        return Tile("Traffic", NOT_METERED)
    return Tile(
        "Traffic", f"{size_text(total.received_bytes or 0)} in", f"and {size_text(total.sent_bytes or 0)} out"
    )


def _workspace_rows(actor: User, report: Report) -> list[Row]:
    shown = report.workspaces[:ROWS_SHOWN]
    names = [name for name, _ in shown if name]
    live = (
        set(workspace_list(actor).filter(name__in=names).values_list("name", flat=True)) if names else set()
    )
    return [
        _row(
            amounts, shown[0][1], name=name or "No workspace",
            note="" if not name or name in live else "deleted",
            href=f"/workspaces/{name}/" if name in live else "",
            stored=size_text(report.stored[name]) if name in report.stored else "–",
        )
        for name, amounts in shown
    ]  # fmt: skip


def _token_rows(report: Report) -> list[Row]:
    shown = report.tokens[:ROWS_SHOWN]
    return [_row(found.amounts, shown[0].amounts, **_named(found)) for found in shown]


def _named(found: TokenUsage) -> dict[str, str]:
    if found.token is not None:
        note = "revoked" if found.token.revoked_at else ""
        return {"name": found.token.name, "prefix": f"{found.token.prefix}…", "note": note}
    return {"name": f"Token {found.number}", "note": "deleted"} if found.number else {"name": "Dashboard"}


def _row(
    amounts: Amounts, most: Amounts, *, name: str, note: str = "", prefix: str = "", href: str = "",
    stored: str = "",
) -> Row:  # fmt: skip
    share = 100 * amounts.awake_ms / most.awake_ms if most.awake_ms else 0
    return Row(
        name, note, prefix, href, amounts.jobs, time_text(amounts.awake_ms), time_text(amounts.asleep_ms),
        stored, round(share, 1),
    )  # fmt: skip
