"""The documentation in Chromium: search by keyboard, tabs, copying, phones, and without scripts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard import axe
from tests.dashboard.conftest import open_page, web, web_process
from tests.dashboard.live import WebServer

__all__ = ["open_page", "web", "web_process"]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
PHONE = {"width": 390, "height": 844}
PAGES = (
    "/docs/",
    "/docs/howto/ssh/",
    "/docs/api/jobs/",
    "/docs/search?q=ssh",
    "/docs/decisions/",
    "/docs/architecture/",
)


def test_search_by_keyboard(open_page: Open) -> None:
    page = open_page(None, "/docs/")
    page.keyboard.press("/")
    page.keyboard.type("alwyas on")
    expect(page.locator(".site-results a").first).to_contain_text("Always on")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/howto/always-on/")
    page.keyboard.press("Control+k")
    page.keyboard.type("ssh")
    expect(page.locator(".site-results")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".site-results")).to_be_hidden()


def test_tabs_are_remembered(open_page: Open) -> None:
    page = open_page(None, "/docs/api/jobs/")
    first = page.locator("[data-code-group]").first
    expect(first.locator("[data-tab=curl]")).to_be_visible()
    first.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    expect(first.locator("[data-tab=Python]")).to_be_visible()
    expect(first.locator("[data-tab=curl]")).to_be_hidden()
    page.goto(page.url.replace("jobs", "files"))
    expect(page.locator("[data-code-group]").first.locator("[data-tab=Python]")).to_be_visible()


def test_what_is_copied_can_be_typed(open_page: Open, web: WebServer) -> None:
    page = open_page(None, "/docs/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=web.url)
    page.locator("[data-code]", has_text="Hello World").first.get_by_role("button").click()
    expect(page.locator("#toast")).to_have_text("Copied")
    assert page.evaluate("() => navigator.clipboard.readText()") == "mags run 'echo Hello World'"


def test_on_a_phone(open_page: Open, web: WebServer) -> None:
    page = open_page(None, "/docs/howto/ssh/", lambda page: page.set_viewport_size(PHONE))
    page.locator(".docs-here summary").click()
    page.locator(".docs-here a").first.click()
    assert "#" in page.url
    here = page.locator(".docs-nav-list [aria-current]")
    expect(here).to_be_hidden()
    page.locator(".docs-menu > summary").click()
    expect(here).to_be_visible()
    for path in PAGES:
        page.goto(web.url + path)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"], path


def test_without_scripts(chromium: Browser, web: WebServer) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{web.url}/docs/api/jobs/")
    group = page.locator("[data-code-group]").first
    for tab in ("curl", "Python", "Node"):
        expect(group.locator(f"[data-tab={tab}]")).to_be_visible()
    page.locator("#site-q").fill("rsync")
    page.locator("#site-q").press("Enter")
    expect(page.locator(".results a").first).to_be_visible()
    context.close()


def test_axe_finds_nothing(open_page: Open, web: WebServer) -> None:
    page = open_page(None, "/docs/")
    for path in PAGES:
        page.goto(web.url + path)
        axe.check_both_themes(page)
