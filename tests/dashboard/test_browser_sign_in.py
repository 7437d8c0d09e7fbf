"""Signing in with a provider in a real browser, against a real provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.audit import note
from accounts.event_kinds import EventKind
from accounts.models import User
from tests.accounts.conftest import provider_process
from tests.accounts.factories import user
from tests.accounts.oidc import Provider
from tests.dashboard import axe
from tests.dashboard.live import WebServer
from tests.servers import RedisServer, free_ports

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
__all__ = ["provider_process"]  # the fixture


@pytest.fixture(scope="module")
def google_web(
    django_db_setup: None, redis_server: RedisServer, provider_process: Provider
) -> Iterator[WebServer]:
    """A web server that is set up for Google, played by the local provider."""
    own = {
        "MAGS_GOOGLE_CLIENT_ID": "mags",
        "MAGS_GOOGLE_CLIENT_SECRET": "a secret",
        "MAGS_GOOGLE_ISSUER": provider_process.url,
    }
    with WebServer(*free_ports(1), own) as server:
        yield server


@pytest.fixture
def page(
    chromium: Browser, google_web: WebServer, transactional_db: None, redis: RedisServer
) -> Iterator[Page]:
    context = chromium.new_context(base_url=google_web.url, viewport={"width": 1440, "height": 900})
    problems: list[str] = []
    page = context.new_page()
    page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
    yield page
    context.close()
    assert problems == []


def at_google(page: Page, provider: Provider, sub: str) -> None:
    page.wait_for_url(f"{provider.url}/**")
    page.fill("[name=sub]", sub)
    page.get_by_role("button", name="Authorize").click()


def test_signing_in_with_google_leads_to_where_one_wanted_to_go(
    page: Page, google_web: WebServer, provider_process: Provider
) -> None:
    provider_process.knows("chromium", email="ann@example.org", name="<b>Ann</b>")
    page.goto("/settings/")
    expect(page.get_by_role("textbox", name="Password")).to_be_hidden()  # folded beside Google
    axe.check(page)
    page.get_by_role("button", name="Continue with Google").click()
    at_google(page, provider_process, "chromium")
    page.wait_for_url(f"{google_web.url}/settings/")
    expect(page.get_by_label("Name")).to_have_value("<b>Ann</b>")
    expect(page.locator("#events li")).to_have_count(2)
    axe.check(page)
    assert User.objects.get().email == "ann@example.org"


def test_denying_at_google_is_said_in_a_sentence(
    page: Page, google_web: WebServer, provider_process: Provider
) -> None:
    page.goto("/login/")
    page.get_by_role("button", name="Continue with Google").click()
    page.wait_for_url(f"{provider_process.url}/**")
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url(f"{google_web.url}/login/**")
    expect(page.get_by_role("alert")).to_contain_text("You did not let Google tell who you are")


def test_settings_from_the_keyboard(web: WebServer, open_page: Callable[..., Page]) -> None:
    owner = user()
    for _ in range(30):
        note(owner, EventKind.SIGNED_IN, method="a password")
    page = open_page(owner, "/settings/")
    page.get_by_label("Name").fill("Ann")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Your name is saved")).to_be_visible()
    page.get_by_label("Present password").fill("wrong")
    page.get_by_label("New password", exact=True).fill("short")
    page.keyboard.press("Enter")
    expect(page.locator("#password-present-error")).to_have_text("This is not your password.")
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#events li")).to_have_count(6)
    page.get_by_role("button", name="Sign out everywhere…").press("Enter")
    page.keyboard.press("Enter")  # what is in focus is the answer
    page.wait_for_url("**/login/?done=everywhere*")
    expect(page.get_by_role("status")).to_contain_text("signed out on every device")
    page.goto(f"{web.url}/settings/")
    page.wait_for_url("**/login/?next=/settings/")
