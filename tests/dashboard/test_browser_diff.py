"""The comparison of two versions in a real browser: it waits by itself, and is filtered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.accounts.factories import user
from tests.dashboard.saved import workspace_of
from tests.jobs.factories import Agent
from workspaces.models import Comparison
from workspaces.services import Found, PathsFound, question_answer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_a_comparison_shows_by_itself(open_page: Callable[[User | None, str], Page]) -> None:
    owner, agent = user(), Agent()
    workspace_of(owner, "w", versions=3)
    page = open_page(owner, "/workspaces/w/")
    page.set_viewport_size({"width": 360, "height": 740})
    page.click(".versions a >> nth=0")
    expect(page.locator("[data-pending]")).to_contain_text("Comparing versions 2 and 3")
    names = [f"lib/{n:03d}".encode() for n in range(30)]
    found = Found(
        PathsFound(names, 30), PathsFound([b"caf\xe9/\x1b[2J"], 1), PathsFound([b"x" * 300, b"<b>y"], 2)
    )
    agent.host.refresh_from_db()
    question_answer(agent.host, agent.boot_epoch, Comparison.objects.get().pk, found)
    expect(page.locator("#added li")).to_have_count(30)
    expect(page.locator("#changed li")).to_have_text("caf\\xe9/\\x1b[2J")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.reload()  # now with the filter
    page.fill("#q", "b>y")
    expect(page.locator("#diff li:not(:has(.diff-count))")).to_have_text(["<b>y"])
    page.select_option("#diff-from", "1")
    page.click("text=Compare")
    expect(page.locator("[data-pending]")).to_contain_text("Comparing versions 1 and 3")
