"""The pages of workspaces in a real browser, wide and narrow, with and without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from core.live import Topic, tell
from tests.accounts.factories import user
from tests.dashboard.live import WebServer
from tests.dashboard.saved import LONG, example, workspace_of
from tests.servers import RedisServer, free_ports
from tests.workspaces.factories import saved
from tests.workspaces.seaweed import ObjectStoreServer
from workspaces.models import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[[User | None, str], Page]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}
PATHS = ("", "web/", "scratch/", f"{LONG}/", "?q=nobody")


@pytest.fixture(scope="module")
def web_process(
    django_db_setup: None, redis_server: RedisServer, object_store_server: ObjectStoreServer
) -> Iterator[WebServer]:
    """As for the other pages, with an object store."""
    with WebServer(*free_ports(1), object_store_server.environment()) as server:
        yield server


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit(open_page: Open, web: WebServer, size: Any, scheme: Any) -> None:
    owner = user()
    page = open_page(owner, "/workspaces/")
    expect(page.locator("main h2")).to_contain_text("Keep files between runs")
    example(owner)
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    for path in PATHS:
        page.goto(f"{web.url}/workspaces/{path}")
        expect(page.locator("nav [aria-current=page]")).to_have_text("Workspaces")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    # What does not fit where it belongs would hide what is beside it.
    assert page.evaluate(
        "Math.max(...Array.from(document.querySelectorAll('.topbar nav a'),"
        " (a) => a.getBoundingClientRect().right))"
    ) <= page.evaluate("document.querySelector('.menu').getBoundingClientRect().left")


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_restoring_asks_first(open_page: Open, size: Any) -> None:
    owner = user()
    one, _ = saved(owner, versions=2)
    page = open_page(owner, "/workspaces/w/")
    page.set_viewport_size(size)
    button = page.locator("[popovertarget=restore-1]").first
    button.focus()
    page.keyboard.press("Enter")
    sheet = page.locator("#restore-1")
    expect(sheet).to_contain_text("Nothing is overwritten")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(sheet.locator("[type=submit]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".page-notice")).to_contain_text("Restored as a new version")
    expect(page.locator(".versions tbody tr").first).to_contain_text("Newest")
    head = Workspace.objects.get().head
    assert head is not None
    assert (head.number, head.manifest) == (3, one.manifest)


@pytest.mark.usefixtures("bucket")
def test_forking(open_page: Open, web: WebServer) -> None:
    owner = user()
    saved(owner, versions=2)
    page = open_page(owner, "/workspaces/w/")
    page.fill("#fork-name", "w")
    page.fill("#fork-version", "1")
    page.keyboard.press("Enter")
    expect(page.locator("#fork [role=alert]")).to_contain_text("Choose another name")
    expect(page.locator("#fork-version")).to_have_value("1")
    page.fill("#fork-name", "other")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web.url}/workspaces/other/?done=forked#main")
    expect(page.locator("h1")).to_contain_text("other")
    expect(page.locator(".versions tbody tr")).to_have_count(1)


def test_resizing_and_deleting_without_scripts(chromium: Browser, web: WebServer) -> None:
    owner = user()
    workspace_of(owner, "w", versions=2)
    client = Client()
    client.force_login(owner)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context = chromium.new_context(java_script_enabled=False, viewport=PHONE)  # type: ignore[arg-type]
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": web.url}])
    page = context.new_page()
    page.goto(f"{web.url}/workspaces/w/")
    page.click("[popovertarget=restore-1]")
    expect(page.locator("#restore-1")).to_be_visible()
    page.keyboard.press("Escape")
    page.fill("#disk-gb", "7")
    page.click("text=Change limit")
    expect(page.locator(".page-notice")).to_contain_text("The disk limit is changed.")
    expect(page.locator(".figures")).to_contain_text("7 GB")
    page.click("summary:text('Delete workspace')")
    page.fill("#delete-typed", "W")
    page.click("text=Delete for good")
    expect(page.locator("#delete-typed-error")).to_contain_text("Nothing was deleted.")
    page.fill("#delete-typed", "w")
    page.click("text=Delete for good")
    page.wait_for_url("**/workspaces/?done=deleted#main")
    assert Workspace.objects.get().deleted_at is not None
    context.close()


def test_a_job_that_takes_it_shows_by_itself(open_page: Open) -> None:
    owner = user()
    workspace = workspace_of(owner, "w", versions=2)
    page = open_page(owner, "/workspaces/w/")
    expect(page.locator("#workspace-line")).not_to_contain_text("In use")
    Workspace.objects.filter(pk=workspace.pk).update(holder="0123456789abcdef")
    tell(owner.pk, Topic.WORKSPACES)
    expect(page.locator("#workspace-line")).to_contain_text("In use")
    expect(page.locator("#workspace-line time")).to_contain_text("ago")


def test_the_list_is_searched_and_walked_by_keys(open_page: Open) -> None:
    owner = user()
    for name in ("alpha", "beta"):
        workspace_of(owner, name, versions=1)
    page = open_page(owner, "/jobs/")
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_url("**/workspaces/")  # with its scripts
    expect(page.locator("tbody tr")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".row-name", has_text="alpha")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("alp")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.click(".row-name")
    expect(page.locator("h1")).to_contain_text("alpha")
