"""The page of usage in a real browser."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.services import token_create
from tests.accounts.factories import user
from tests.dashboard import axe
from usage.amounts import HOUR_MS
from usage.models import DailyUsage, Progress
from workspaces.models import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}


def busy(owner: User, *, is_metered: bool = False) -> None:
    """Ninety days of work in a few workspaces with a few tokens; the same in every run."""
    chance = random.Random(5)
    today = timezone.now().date()
    Progress.objects.create(written_before=today, storage_since=timezone.now() - timedelta(days=100))
    tokens = [
        token_create(owner, name)[0].pk for name in ("laptop", "ci of the shop, main branch", "x" * 100)
    ]
    names = ["", "web", "a-workspace-with-quite-a-long-name-as-people-give-them-to-branch"]
    Workspace.objects.create(owner=owner, name="web", disk_gb=2)
    metered: dict[str, Any] = {
        "cpu_ms": 10**6,
        "memory_mb_s": 10**7,
        "received_bytes": 10**9,
        "sent_bytes": 10**8,
    }
    for ago in range(1, 90):
        for name, token in zip(names, tokens, strict=True):
            jobs = chance.randrange(0, 40) if ago % 7 not in {1, 2} else 0
            DailyUsage.objects.create(
                owner=owner, day=today - timedelta(days=ago), workspace=name, token_number=token, jobs=jobs,
                awake_ms=jobs * chance.randrange(HOUR_MS // 20),
                asleep_ms=jobs * HOUR_MS // 60 if name else 0,
                storage_byte_hours=(100 - ago) << 32 if name else 0, **(metered if is_metered else {}),
            )  # fmt: skip


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_fits_and_axe_finds_nothing(open_page: Open, size: Any) -> None:
    owner = user()
    page = open_page(owner, "/usage/")
    page.set_viewport_size(size)
    axe.check_both_themes(page)
    busy(owner, is_metered=True)
    for days in (7, 90):
        page.goto(page.url.partition("?")[0] + f"?days={days}")
        expect(page.locator("[data-chart]")).to_have_count(6)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("[data-chart] summary").first.click()
    axe.check_both_themes(page)


def test_days_are_read_by_keyboard_and_pointer(open_page: Open) -> None:
    owner = user()
    busy(owner)
    page = open_page(owner, "/usage/?days=7")
    chart = page.locator("[data-chart]").first
    bars, readout = chart.locator(".bar"), chart.locator("[data-readout]")
    expect(readout).to_contain_text("Most on")
    expect(chart.locator(".bar[tabindex='0']")).to_have_count(1)
    bars.last.focus()
    expect(readout).to_have_text(bars.last.get_attribute("aria-label") or "")
    page.keyboard.press("ArrowLeft")
    expect(bars.nth(5)).to_be_focused()
    expect(readout).to_have_text(bars.nth(5).get_attribute("aria-label") or "")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(bars.first).to_be_focused()
    bars.nth(3).hover()
    expect(readout).to_have_text(bars.nth(3).get_attribute("aria-label") or "")
    page.keyboard.press("Tab")  # one stop a chart
    expect(chart.locator("summary")).to_be_focused()
    page.mouse.move(0, 0)
    expect(readout).to_contain_text("Most on")


def test_csv_is_downloaded(open_page: Open) -> None:
    owner = user()
    busy(owner)
    page = open_page(owner, "/usage/?days=90")
    with page.expect_download() as caught:
        page.get_by_text("Download CSV").click()
    assert caught.value.suggested_filename.endswith(".csv")
    assert len(caught.value.path().read_text().splitlines()) == 1 + 89 * 3
