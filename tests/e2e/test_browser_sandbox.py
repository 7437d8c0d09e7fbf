"""A person works in a real sandbox from the pages: its terminal, URL, key, stop and return."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.running import RunningStack
from tests.e2e.signedin import signed_in

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.browser, pytest.mark.timeout(300)]

NAME = "seat"
SCREEN = "[data-terminal] .xterm-rows"
STATE = "[data-terminal-state]"
OVER = "[data-terminal-over]"
SANDBOX = "#job-sandbox .status"


@pytest.fixture(scope="module")
def page(chromium: Browser, stack: RunningStack) -> Iterator[Page]:
    """Signed in, on the page of a job whose sandbox stays."""
    with stack.client() as api, signed_in(chromium, stack) as page:
        wanted = {"script": "true", "workspace_id": NAME, "name": NAME, "persistent": True}
        job = api.post("/mags-jobs", json=wanted).json()["request_id"]
        page.goto(f"{stack.url}/jobs/{job}/")
        expect(page.locator(SANDBOX)).to_have_text("Running")
        yield page
        api.post(f"/mags-jobs/{NAME}/stop")


def enter(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def test_a_shell_outlives_the_page_and_the_web_process(page: Page, stack: RunningStack) -> None:
    page.click("#tab-terminal")
    expect(page.locator(STATE)).to_have_text("Connected")
    enter(page, "kept=$((6 * 7)); tty; stty size | tr ' ' x")
    expect(page.locator(SCREEN)).to_contain_text("/dev/pts/")
    columns, rows = page.inner_text("[data-terminal-size]").split(" × ")
    expect(page.locator(SCREEN)).to_contain_text(f"{rows}x{columns}")

    page.reload()
    expect(page.locator(STATE)).to_have_text("Connected")
    expect(page.locator(SCREEN)).to_contain_text("/dev/pts/")
    enter(page, "echo after-reload-$kept")
    expect(page.locator(SCREEN)).to_contain_text("after-reload-42")

    page.set_viewport_size({"width": 1000, "height": 700})
    stack.kill("web")
    expect(page.locator(STATE)).to_have_attribute("data-state", "reconnecting")
    expect(page.locator(STATE)).to_have_text("Connected")
    enter(page, "clear; echo after-restart-$kept; stty size | tr ' ' x")
    expect(page.locator(SCREEN)).to_contain_text("after-restart-42")
    columns, rows = page.inner_text("[data-terminal-size]").split(" × ")
    expect(page.locator(SCREEN)).to_contain_text(f"{rows}x{columns}")

    enter(page, "exit 3")
    expect(page.locator(OVER)).to_have_text("The shell ended with exit code 3.")
    page.click("#tab-commands")
    expect(page.locator(".commands tbody tr").first).to_contain_text("Exited")
    page.click(".commands [data-output] >> nth=0")
    expect(page.locator("#output-dialog pre")).to_contain_text("after-reload-42")
    page.keyboard.press("Escape")


def test_what_was_stopped_comes_back_for_the_terminal(page: Page, stack: RunningStack) -> None:
    page.click("#job-sandbox [data-ask]")
    page.click("#sandbox-stop button:text('Stop sandbox')")
    expect(page.locator(SANDBOX)).to_have_text("Stopped")
    page.click("#tab-terminal")
    page.click("[data-terminal-again]")
    expect(page.locator(STATE)).to_have_text("Connected")
    expect(page.locator(SANDBOX)).to_have_text("Running")
    page.click("#tab-timeline")
    expect(page.locator("#job-timeline")).to_contain_text("Waking, for a command")
    expect(
        page.locator("#job-timeline > li", has_text="Sandbox is up").locator(".timing-bar")
    ).to_be_visible()


def test_a_url_and_a_key(page: Page) -> None:
    page.fill("#url-port", "8000")
    page.click("#url-submit")
    expect(page.locator("#job-url")).to_contain_text(":8000")
    page.click("[data-ssh]")
    expect(page.locator("[data-command=login] code")).to_contain_text(
        re.compile(r"ssh -i mags-\d+\.key -p \d+ root@")
    )
    with page.expect_download() as download:
        page.click("[data-ssh-key]")
    assert "OPENSSH PRIVATE KEY" in download.value.path().read_text()
    page.keyboard.press("Escape")


def test_it_is_always_on_at_the_flip_of_a_switch(page: Page, stack: RunningStack) -> None:
    switch = page.locator("#always-on")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    page.goto(f"{stack.url}/sandboxes/")
    expect(page.locator("tr", has_text=NAME)).to_contain_text("Always on")
