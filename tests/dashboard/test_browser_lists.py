"""Lists and the frame in a real browser: narrowing, paging, choosing, living, and a server that goes away."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import ApiToken, User
from core.live import Topic, tell
from jobs.models import Job
from jobs.states import JobStatus
from tests.accounts.factories import user
from tests.dashboard.live import WebServer
from tests.jobs import factories

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
SCRIPT_LIMIT_BYTES = 100_000


def jobs_of(owner: User, count: int, **fields: object) -> list[Job]:
    """Rows that no host has ever seen."""
    rows = [
        Job(owner=owner, name=f"job-{number:03}", script="true", vcpus=1, memory_mb=64, disk_gb=1, **fields)
        for number in range(count)
    ]
    return Job.objects.bulk_create(rows)


def test_filters_and_pages_keep_the_address_and_go_back(open_page: Open) -> None:
    owner = user()
    jobs_of(owner, 60)
    jobs_of(owner, 2, status=JobStatus.COMPLETED, exit_code=0, finished_at="2026-01-01T00:00:00Z")
    page = open_page(owner, "/jobs/")
    page.evaluate("globalThis.isSame = true")
    page.click("#status-filter >> text=Waiting")
    page.wait_for_url("**/jobs/?status=accepted")
    expect(page.locator("#status-filter [aria-current]")).to_have_text("Waiting")
    page.click("text=Older")
    page.wait_for_url("**/jobs/?status=accepted&page=2")
    expect(page.locator("tbody tr")).to_have_count(10)
    page.select_option("#filter-exit", "none")
    page.wait_for_url("**/jobs/?status=accepted&exit=none")
    assert page.evaluate("globalThis.isSame")
    page.go_back()
    page.wait_for_url("**/jobs/?status=accepted")
    expect(page.locator("tbody tr")).to_have_count(50)


def test_chosen_jobs_stay_chosen_and_are_stopped(open_page: Open) -> None:
    owner = user()
    jobs_of(owner, 5)
    page = open_page(owner, "/jobs/?status=accepted")
    page.keyboard.press("j")
    page.keyboard.press("x")
    boxes = page.locator("td.col-choice input")
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.locator("[data-chosen-count]")).to_have_text("3")
    factories.job(owner, name="newer")  # a row comes above them
    expect(page.locator("tbody tr")).to_have_count(6)
    expect(page.locator("[data-chosen-count]")).to_have_text("3")
    page.click("#bulk [data-opens]")
    expect(page.locator("#stop-chosen h2")).to_have_text("Stop 3 jobs?")
    page.click("#stop-jobs [type=submit]")
    expect(page.locator(".page-notice")).to_have_text("3 jobs are being stopped.")
    expect(page.locator("tbody tr")).to_have_count(3)


def test_a_burst_of_changes_is_few_renders(open_page: Open) -> None:
    owner = user()
    rows = jobs_of(owner, 50)
    page = open_page(owner, "/jobs/")
    fetched: list[str] = []
    page.on(
        "request", lambda request: fetched.append(request.url) if request.resource_type == "fetch" else None
    )
    for number, row in enumerate(rows):
        Job.objects.filter(pk=row.pk).update(name=f"new-{number:03}")
        tell(owner.pk, Topic.JOBS)
    expect(page.locator(".row-name", has_text="new-")).to_have_count(50)
    assert len(fetched) <= 10


def test_a_page_says_that_the_server_is_away_until_it_is_back(web: WebServer, open_page: Open) -> None:
    owner = user()
    page = open_page(owner, "/jobs/")
    web.stop(signal.SIGKILL)
    try:
        expect(page.locator("#connection")).to_contain_text("The server cannot be reached")
    finally:
        web.start()
    expect(page.locator("#connection")).to_be_hidden()
    factories.job(owner, name="afterwards")
    page.goto(f"{web.url}/jobs/")
    expect(page.locator(".row-name")).to_have_text("afterwards")


def test_scripts_of_a_first_visit_are_small(open_page: Open) -> None:
    owner = user()
    jobs_of(owner, 3)
    page = open_page(owner, "/jobs/")
    page.wait_for_load_state("networkidle")
    scripts = page.evaluate(
        """() => performance.getEntriesByType("resource").filter((entry) => entry.name.endsWith(".js"))
             .map((entry) => [entry.name, entry.transferSize])"""
    )
    assert not [name for name, _ in scripts if "xterm" in name]
    assert 10_000 < sum(size for _, size in scripts) < SCRIPT_LIMIT_BYTES, scripts


def test_a_token_is_filled_into_the_first_steps(open_page: Open) -> None:
    owner = user()
    page = open_page(owner, "/")
    page.click("[data-token-start] button")
    expect(page.locator("[data-token-made]")).to_be_visible()
    token = ApiToken.objects.get(owner=owner)
    assert token.name == "getting started"
    for slot in page.locator("[data-token-slot]").all_inner_texts():
        assert slot.startswith(token.prefix)
    page.reload()
    expect(page.locator("[data-token-slot]").first).to_have_text("mags_…")


def test_on_phones_the_sections_are_in_a_sheet(open_page: Open) -> None:
    page = open_page(user(), "/jobs/")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#sidebar")).to_be_hidden()
    page.click("[aria-label=Menu]")
    page.click("#sidebar >> text=Tokens")
    page.wait_for_url("**/tokens/")
