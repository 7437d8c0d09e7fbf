"""The command palette, by keyboard, by touch, and with names that try to be more than names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from jobs.models import Job
from tests.accounts.factories import user
from tests.dashboard import axe
from tests.dashboard.live import WebServer
from tests.dashboard.saved import workspace_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
HOSTILE = "<img src=x onerror='globalThis.isBroken=1'>"


def test_from_the_keyboard(open_page: Open, web: WebServer) -> None:
    owner = user()
    workspace_of(owner, "atlas", versions=1)
    # Only the database takes such a name; scripts, which stand for one, may say anything.
    Job.objects.create(owner=owner, script=HOSTILE)
    page = open_page(owner, "/tokens/")
    loaded = "performance.getEntriesByType('resource').some(({ name }) => name.includes('palette.js'))"
    assert not page.evaluate(loaded)  # nobody pays for it before
    page.keyboard.press("Control+k")
    palette = page.locator("#palette")
    field, options = palette.get_by_role("combobox"), palette.get_by_role("option")
    expect(field).to_be_focused()
    expect(options.first).to_have_text(f"{HOSTILE}Waiting")
    axe.check_both_themes(page)
    page.keyboard.type("atl")
    expect(options).to_have_count(1)
    expect(field).to_have_attribute("aria-activedescendant", options.first.get_attribute("id") or "")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web.url}/workspaces/atlas/")

    page.keyboard.press("Control+k")
    page.keyboard.type("theme")
    expect(options).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    expect(page.locator("#palette")).to_be_hidden()

    page.keyboard.press("Control+k")
    page.keyboard.type("nothing has this name")
    expect(page.locator("[data-palette-empty]")).to_be_visible()
    page.keyboard.press("Enter")  # on nothing
    field.fill("run a")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web.url}/jobs/#run")
    expect(page.locator("#script")).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.locator("#script")).to_be_focused()
    assert not page.evaluate("'isBroken' in globalThis")


def test_on_a_phone_and_with_a_server_that_is_away(open_page: Open, web: WebServer) -> None:
    page = open_page(user(), "/usage/")
    page.set_viewport_size({"width": 390, "height": 844})
    page.click(".topbar-finder")
    expect(page.get_by_role("option", name="Files", exact=True)).to_be_visible()
    page.click("#palette [aria-label=Close]")
    expect(page.locator("#palette")).to_be_hidden()
    page.context.set_offline(True)
    page.click(".topbar-finder")
    expect(page.locator("[data-palette-said]")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("option", name="Files", exact=True).click()
    page.wait_for_url(f"{web.url}/files/")
