"""A browser that is signed in to a stack."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, expect

from tests.e2e.running import RunningStack


@contextlib.contextmanager
def signed_in(browser: Browser, stack: RunningStack) -> Iterator[Page]:
    """Through the form, as the admin of the stack, on the list of jobs."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{stack.url}/login/")
    page.fill("#email", stack.admin_email)
    page.fill("#password", stack.admin_password)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Home")
    page.goto(f"{stack.url}/jobs/")
    page.wait_for_load_state("load")  # its scripts have run
    yield page
    context.close()
