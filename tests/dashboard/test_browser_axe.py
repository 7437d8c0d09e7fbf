"""Every page, looked at by axe, in both themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from aliases.services import alias_create
from tests.accounts.factories import token_of, user
from tests.dashboard import axe
from tests.dashboard.live import LiveAgent, WebServer
from tests.dashboard.saved import example
from tests.jobs import held

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
EMPTY = ("/", "/design/", "/jobs/", "/sandboxes/", "/workspaces/", "/aliases/", "/tokens/")
FILLED = (*EMPTY, "/workspaces/web/", "/workspaces/web/diff/?from=1&to=2", "/cron/")
STAFF = ("/hosts/", "/hosts/health/")


def test_what_is_empty(open_page: Open, web: WebServer) -> None:
    page = open_page(None, "/login/")
    axe.check_both_themes(page)
    page = open_page(user(), "/")
    for path in EMPTY:
        page.goto(web.url + path)
        axe.check_both_themes(page)


def test_what_is_filled(open_page: Open, web: WebServer, agent: LiveAgent) -> None:
    owner = user(is_staff=True)
    job = held.idle(agent, owner, "box", url_port=8000)
    alias_create(owner, "shop", "box", None)
    token_of(owner)
    example(owner)
    page = open_page(owner, "/")
    for path in (*FILLED, *STAFF, f"/hosts/{agent.host.pk}/"):
        page.goto(web.url + path)
        axe.check_both_themes(page)
    for tab in ("output", "terminal", "commands", "timeline"):
        page.goto(f"{web.url}/jobs/{job.pk}/#{tab}")
        page.reload()
        expect(page.locator(f"#panel-{tab}")).to_be_visible()
        axe.check_both_themes(page)
