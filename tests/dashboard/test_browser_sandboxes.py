"""The pages of sandboxes and aliases in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from aliases.services import alias_create
from sandboxes.models import Sandbox
from tests.accounts.factories import user
from tests.dashboard.live import LiveAgent, WebServer
from tests.dashboard.saved import LONG
from tests.jobs import held

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]


def test_a_sandbox_is_stopped_and_set_from_its_pages(
    open_page: Open, web: WebServer, agent: LiveAgent
) -> None:
    owner = user()
    job = held.idle(agent, owner, "box")
    page = open_page(owner, f"/jobs/{job.pk}/")
    page.click("#always-on")
    expect(page.locator("#always-on")).to_have_attribute("aria-checked", "true")
    page.click("summary:text('Start-up command')")
    page.fill("#startup-command", "serve 8000")
    page.click("[data-startup] [type=submit]")
    expect(page.locator("#toast")).to_contain_text("It runs from the next start on")
    job.refresh_from_db()
    assert (job.no_sleep, job.startup_command) == (True, "serve 8000")

    page.goto(f"{web.url}/sandboxes/")
    page.click("[data-ask]")
    expect(page.locator("#sandbox-stop")).to_contain_text("Stop the sandbox box?")
    page.keyboard.press("Escape")
    assert not Sandbox.objects.get().is_stop_wished
    page.click("[data-ask]")
    page.click("#sandbox-stop button:text('Stop sandbox')")
    expect(page.locator("tr", has_text="box").locator(".status")).to_have_text("Stopping")
    held.end(agent, Sandbox.objects.get(), "stopped")
    expect(page.locator("#sandbox-list h2")).to_have_text("A small server that waits for you")


def test_narrow_pages_fit(open_page: Open, web: WebServer, agent: LiveAgent) -> None:
    owner = user()
    job = held.idle(agent, owner, LONG, url_port=8000)
    alias_create(owner, "a" * 63, LONG, None)
    page = open_page(owner, "/sandboxes/")
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("/sandboxes/", "/aliases/", *(f"/jobs/{job.pk}/#{tab}" for tab in ("commands", "timeline"))):
        page.goto(web.url + path)
        expect(page.locator("main")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
