"""The other pages in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from playwright.sync_api import Error, Page, Route, expect

from accounts.models import ApiToken, User
from jobs.models import Job
from tests.accounts.factories import PASSWORD, token_of, user
from tests.dashboard import axe
from tests.dashboard.live import LiveAgent, WebServer
from tests.jobs import factories

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[[User | None, str], Page]


def test_signing_in_leads_to_where_one_wanted_to_go(web: WebServer, open_page: Open) -> None:
    # The server does not know the quick hashes of the tests.
    owner = user(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt-of-a-test"))
    page = open_page(None, "/tokens/")
    page.fill("#email", owner.email)
    page.fill("#password", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in-error")).to_contain_text("do not match")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web.url}/tokens/")
    page.click("[data-menu] summary")
    page.click("text=Sign out")
    page.wait_for_url("**/login/")


def test_running_a_script_from_the_page(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    page = open_page(owner, "/jobs/")
    page.fill("#script", "echo hello")
    page.fill("#name", "first")
    page.press("#script", "Control+Enter")
    expect(page.locator("h1")).to_contain_text("first")
    job = Job.objects.get(owner=owner)
    assert job.script == "echo hello"
    assert page.url.endswith(f"/jobs/{job.pk}/")


def test_a_double_click_runs_once(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    page = open_page(owner, "/jobs/")
    page.fill("#script", "echo hello")
    page.dblclick("#composer [type=submit]")
    expect(page.locator("[data-page=job]")).to_be_visible()
    assert Job.objects.filter(owner=owner).count() == 1


def test_a_changed_job_keeps_what_the_form_does_not_show(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    source = factories.job(owner, script="env", environment={"A": "b"}, retries=3, disk_gb=5)
    page = open_page(owner, f"/jobs/{source.pk}/")
    page.click("text=Edit and run")
    page.fill("#script", "env | sort")
    page.click("#composer [type=submit]")
    expect(page.locator(".script-box summary")).to_contain_text("env | sort")
    made = Job.objects.exclude(pk=source.pk).get()
    assert (made.script, made.environment, made.retries, made.disk_gb) == ("env | sort", {"A": "b"}, 3, 5)


def test_errors_are_at_their_fields_and_lose_nothing(agent: LiveAgent, open_page: Open) -> None:
    page = open_page(user(), "/jobs/")
    page.fill("#script", "echo kept")
    page.fill("#name", "no spaces allowed")
    page.click("summary:text('Limits')")
    page.fill("#memory_mb", "1")
    page.press("#script", "Control+Enter")
    expect(page.locator("#name-error")).to_contain_text("Must be 1 to 63 letters")
    expect(page.locator("#memory_mb-error")).to_be_visible()
    expect(page.locator("#script")).to_have_value("echo kept")
    page.fill("#name", "")
    page.fill("#memory_mb", "999999")
    page.press("#script", "Control+Enter")
    expect(page.locator("#memory_mb-error")).to_contain_text("At most")
    assert Job.objects.count() == 0


def test_a_server_that_is_away_loses_nothing(web: WebServer, agent: LiveAgent, open_page: Open) -> None:
    page = open_page(user(), "/jobs/")
    page.fill("#script", "echo kept")
    page.context.set_offline(True)
    page.press("#script", "Control+Enter")
    expect(page.locator("[data-form-error]")).to_contain_text("The server cannot be reached.")
    page.context.set_offline(False)
    page.press("#script", "Control+Enter")
    expect(page.locator("[data-page=job]")).to_be_visible()
    assert Job.objects.get().script == "echo kept"


def test_the_list_is_live(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    agent.run(factories.job(owner, name="old"))
    page = open_page(owner, "/jobs/")
    job = factories.job(owner, name="new")
    row = page.locator("tr", has_text="new")
    expect(row.locator(".status")).to_have_text("Starting")
    lease = factories.lease_of(job)
    agent.start(lease)
    expect(row.locator(".status")).to_have_text("Running")
    agent.finish(lease, exit_code=7)
    expect(row.locator(".status")).to_have_text("Exited")
    expect(row.locator(".exit")).to_have_text("7")


def test_search_narrows_while_typing(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    for name in ("alpha", "beta"):
        agent.run(factories.job(owner, name=name))
    page = open_page(owner, "/jobs/")
    page.keyboard.press("/")
    page.keyboard.type("alp")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.wait_for_url("**/jobs/?q=alp")
    expect(page.locator("#q")).to_be_focused()


def test_keys_walk_through_the_list(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    for name in ("older", "newer"):
        agent.run(factories.job(owner, name=name))
    page = open_page(owner, "/jobs/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".row-name", has_text="older")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("older")


def test_stopping_asks_first(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    job = factories.job(owner)
    agent.start(factories.lease_of(job))
    page = open_page(owner, f"/jobs/{job.pk}/")
    page.click("#job-stop button")
    page.click("text=Keep running")
    page.click("#job-stop button")
    assert Job.objects.get().stop_requested_at is None
    page.click("#stop-dialog button:text('Stop job')")
    expect(page.locator("#job-line")).to_contain_text("Stopping")
    assert Job.objects.get().stop_requested_at is not None


def test_a_token_is_shown_once_and_can_be_revoked(open_page: Open) -> None:
    owner = user()
    page = open_page(owner, "/tokens/")
    page.fill("#token-name", "laptop")
    page.click("text=Create token")
    text = page.locator("[data-token-text]")
    expect(text).to_contain_text("mags_")
    token = ApiToken.objects.get(owner=owner)
    assert token.prefix == text.inner_text()[:12]
    assert token.expires_at is not None
    expect(page.locator("tbody tr")).to_contain_text("laptop")
    page.reload()
    expect(text).to_be_hidden()
    page.click("[data-revoke]")
    page.click("#revoke button:text('Revoke')")
    expect(page.locator("#token-list")).to_contain_text("You have no tokens yet.")
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_a_token_for_everything_asks_who_it_is(web: WebServer, open_page: Open) -> None:
    owner = user(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt-of-a-test"))
    page = open_page(owner, "/tokens/")
    page.fill("#token-name", "operator")
    page.get_by_role("radio", name="Admin").check()
    page.click("text=Create token")
    page.wait_for_url("**/confirm/**")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-password-error")).to_have_text("This is not your password.")
    axe.check_both_themes(page)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web.url}/tokens/")
    expect(page.locator("#token-name")).to_have_value("operator")
    page.click("text=Create token")
    expect(page.locator("[data-token-text]")).to_contain_text("mags_")
    assert ApiToken.objects.get(owner=owner).scopes == ["read", "run", "admin"]


def test_a_token_needs_a_name(open_page: Open) -> None:
    page = open_page(user(), "/tokens/")
    page.click("text=Create token")
    expect(page.locator("#token-error")).to_contain_text("Name")


def test_the_theme_is_remembered(open_page: Open) -> None:
    page = open_page(user(), "/jobs/")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("[data-menu] summary")
    page.click("[data-themes] [value=dark]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_session_that_ended_leads_to_sign_in(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    token_of(owner)
    page = open_page(owner, "/jobs/")
    page.context.clear_cookies()
    factories.job(owner)  # a change makes the page look again
    expect(page.locator("#email")).to_be_visible()


def test_a_page_whose_script_did_not_arrive_loads_again(agent: LiveAgent, open_page: Open) -> None:
    owner = user()
    page = open_page(owner, "/tokens/")
    dropped: list[str] = []

    def drop_once(route: Route) -> None:
        if dropped:
            route.continue_()
        else:
            dropped.append(route.request.url)
            route.abort("connectionreset")

    page.route("**/socket.js", drop_once)
    page.click("nav >> text=Jobs")
    expect(page.locator("#composer [type=submit]")).to_be_enabled()
    assert len(dropped) == 1


def test_a_script_that_never_arrives_does_not_reload_for_ever(open_page: Open) -> None:
    page = open_page(user(), "/tokens/")
    tries: list[str] = []

    def drop(route: Route) -> None:
        tries.append(route.request.url)
        route.abort("connectionreset")

    page.route("**/socket.js", drop)
    page.click("nav >> text=Jobs")
    # The fourth failure is counted and leads to nothing: the page stays, such as it is. (Where other tests
    # change the network, other scripts fail as well, and count.)
    deadline = time.monotonic() + 60
    while reloads(page) != "4":
        assert time.monotonic() < deadline, (reloads(page), tries)
        page.wait_for_timeout(50)
    seen = len(tries)
    assert 1 <= seen <= 4
    page.wait_for_timeout(500)
    assert (len(tries), reloads(page)) == (seen, "4")


def reloads(page: Page) -> str | None:
    """How often the page counted that; None while it is loaded again."""
    try:
        return str(page.evaluate("sessionStorage['mags-reloads']"))
    except Error:
        return None
