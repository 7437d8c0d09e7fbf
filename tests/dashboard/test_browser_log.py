"""The log in a real browser, on a real server; only the agent's words are made up."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from jobs.models import Job, Lease
from tests.accounts.factories import user
from tests.dashboard.browser import LogPanel
from tests.dashboard.live import LiveAgent, WebServer
from tests.jobs import factories

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Open = Callable[[User | None, str], Page]


def running(agent: LiveAgent) -> tuple[Job, Lease]:
    job = factories.job(user(), name="job")
    lease = factories.lease_of(job)
    agent.start(lease)
    return job, lease


def opened(open_page: Open, job: Job) -> LogPanel:
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    panel.wait_for_state("live")
    return panel


def test_replays_follows_and_ends(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.prints(lease, b"before\n")
    panel = opened(open_page, job)
    panel.wait_for_lines("1 line")
    agent.prints(lease, b"after\n")
    agent.prints(lease, b"to stderr\n", stream=2)
    panel.wait_for_lines("3 lines")
    agent.finish(lease, exit_code=3)
    panel.wait_for_state("ended")
    assert panel.everything() == ["before", "after", "to stderr"]
    assert panel.page.locator(".log-row.is-stderr").count() == 1
    line = panel.page.locator("#job-line")
    expect(line).to_contain_text("Exited")
    expect(line.locator(".exit")).to_have_text("3")
    expect(panel.page.locator("#job-stop button")).to_have_count(0)
    expect(panel.page).to_have_title("✗ Exited · job · Mags")


def test_a_hundred_thousand_lines_from_first_to_last(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.prints(lease, b"".join(b"line %d\n" % number for number in range(1, 100_001)))
    agent.finish(lease)
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    panel.wait_for_state("ended", timeout_s=60)
    panel.wait_for_lines("100,000 lines")
    assert panel.page.locator(".log-row").count() < 200
    assert panel.shown()[-1] == "line 100000"
    panel.box.press("Home")
    expect(panel.page.locator(".log-row .log-text").first).to_have_text("line 1")
    panel.page.fill("#log-query", "LINE 54321")
    panel.page.press("#log-query", "Enter")
    expect(panel.page.locator(".log-row.is-current .log-text")).to_have_text("line 54321")
    expect(panel.page.locator("[data-log-matches]")).to_have_text("1 of 1")


def test_all_lines_are_there_in_order(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    lines = [f"line {number}" for number in range(3000)]
    agent.prints(lease, "".join(f"{line}\n" for line in lines).encode())
    agent.finish(lease)
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    panel.wait_for_state("ended")
    assert panel.everything() == lines


def test_nothing_is_lost_or_doubled_when_the_server_is_killed(
    web: WebServer, agent: LiveAgent, open_page: Open
) -> None:
    job, lease = running(agent)
    panel = opened(open_page, job)
    for number in range(20):
        agent.prints(lease, b"line %d\nhalf a l" % number)
        agent.prints(lease, b"ine\n")
    panel.wait_for_lines("40 lines")
    agent.prints(lease, b"begun before the crash, ")
    web.stop(signal.SIGKILL)
    panel.wait_for_state("reconnecting")
    web.start()
    agent.prints(lease, b"finished after it\nlast\n")
    panel.wait_for_state("live")
    panel.wait_for_lines("42 lines")
    agent.finish(lease)
    panel.wait_for_state("ended")
    half = [text for number in range(20) for text in (f"line {number}", "half a line")]
    assert panel.everything() == [*half, "begun before the crash, finished after it", "last"]


HOSTILE = [
    b"<script>document.title = 'owned'</script>",
    b"<img src=x onerror=\"document.title = 'owned'\">",
    b"&lt;b&gt; {{ 7*7 }} ${7*7}",
    b"\x1b]0;owned\x07title \x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]52;c;b3duZWQ=\x07clipboard\x1b[2J\x1b[H\x1b[?1049h",
    b"bell \x07 null \x00 escape \x1b",
    "right \u202eto left\u202c".encode(),
    b"\xff\xfe not utf-8 \xc3\x28",
    b"progress 10%\rprogress 100%\r",
    b"\x1b[999999999;1;1;1;38;5;999;48;2;1mstrange",
]
SHOWN = [
    "<script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "&lt;b&gt; {{ 7*7 }} ${7*7}",
    "title link",
    "clipboard",
    "bell ␇ null ␀ escape ␛",
    "right \\u202eto left\\u202c",
    "\ufffd\ufffd not utf-8 \ufffd(",
    "progress 100%",
    "strange",
]


def test_hostile_output_is_only_shown(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.prints(lease, b"\x1b[0m\n".join(HOSTILE) + b"\n")
    agent.finish(lease)
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    panel.wait_for_state("ended")
    assert panel.everything() == SHOWN
    assert panel.page.locator(".log-text :is(script, img, a, b)").count() == 0
    assert "owned" not in panel.page.title()


def test_colours_are_drawn_and_carry_over_lines(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.prints(
        lease, b"\x1b[31;1mred\nstill red\x1b[0m plain\n\x1b[38;2;1;2;3mtrue\x1b[48;5;208mback\x1b[0m\n"
    )
    agent.finish(lease)
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    panel.wait_for_state("ended")
    rows = panel.page.locator(".log-row .log-text")
    expect(rows.nth(0).locator("span.sgr-f1.sgr-bold")).to_have_text("red")
    expect(rows.nth(1).locator("span.sgr-f1.sgr-bold")).to_have_text("still red")
    expect(rows.nth(2).locator("span").first).to_have_css("color", "rgb(1, 2, 3)")
    expect(rows.nth(2).locator("span").nth(1)).to_have_css("background-color", "rgb(255, 135, 0)")


def test_scrolling_up_stops_following_and_the_button_takes_it_up_again(
    agent: LiveAgent, open_page: Open
) -> None:
    job, lease = running(agent)
    agent.prints(lease, b"".join(b"line %d\n" % number for number in range(500)))
    panel = opened(open_page, job)
    panel.wait_for_lines("500 lines")
    expect(panel.page.locator(".log-row .log-text").last).to_have_text("line 499")
    panel.box.evaluate("(box) => { box.scrollTop = 50 * 20; }")
    expect(panel.page.locator(".log-row .log-text").first).to_have_text("line 50")
    follow = panel.page.locator("[data-log-follow]")
    expect(follow).to_be_visible()
    before = panel.shown()
    agent.prints(lease, b"new 1\nnew 2\n")
    expect(follow).to_have_text("↓ 2 new lines")
    assert panel.shown() == before
    follow.click()
    expect(panel.page.locator(".log-row .log-text").last).to_have_text("new 2")
    expect(follow).to_be_hidden()
    agent.prints(lease, b"new 3\n")
    expect(panel.page.locator(".log-row .log-text").last).to_have_text("new 3")


def test_a_line_without_end_does_not_freeze_the_page(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.prints(lease, b"x" * 3_000_000 + b"\nnext\n")
    agent.finish(lease)
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    panel.wait_for_state("ended")
    panel.wait_for_lines("2 lines")
    assert panel.page.evaluate("document.querySelector('.log-text').firstChild.length") == 4096
    panel.page.click(".log-more")
    dialog = panel.page.locator("[data-line-dialog]")
    expect(dialog).to_contain_text("Line 1 (262,144 characters, 2,737,856 more are in the download)")
    assert len(dialog.locator("pre").inner_text()) == 262_144


def test_wrapping_shows_all_of_a_long_line(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.prints(lease, b"".join(b"%d " % number + b"word " * 100 + b"\n" for number in range(200)))
    agent.finish(lease)
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    panel.wait_for_state("ended")
    panel.page.keyboard.press("w")
    expect(panel.page.locator("[data-toggle=wrap]")).to_have_attribute("aria-pressed", "true")
    width, visible = panel.box.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert width <= visible
    assert [line.split(" ")[0] for line in panel.everything()] == [str(number) for number in range(200)]
    # Rows are as high as the wrapping made them: the next begins where the one before ends.
    gaps = panel.page.evaluate(
        "[...document.querySelectorAll('.log-row')].map((r) => r.getBoundingClientRect())"
        ".map((r, i, all) => i ? Math.abs(r.top - all[i - 1].bottom) : 0)"
    )
    assert max(gaps) < 0.5


def test_only_matching_lines(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.prints(lease, b"".join(b"%s %d\n" % (b"odd" if n % 2 else b"even", n) for n in range(1000)))
    panel = opened(open_page, job)
    panel.wait_for_lines("1,000 lines")
    panel.page.fill("#log-query", "odd")
    panel.page.click("[data-toggle=filter]")
    expect(panel.page.locator("[data-log-matches]")).to_have_text("500 lines")
    agent.prints(lease, b"odd last\neven last\n")
    expect(panel.page.locator("[data-log-matches]")).to_have_text("501 lines")
    assert panel.page.locator(".log-row mark").first.inner_text() == "odd"
    panel.page.fill("#log-query", "")
    panel.wait_for_lines("1,002 lines")
    expect(panel.page.locator(".log-row mark")).to_have_count(0)


def test_job_without_output_says_so(agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    agent.finish(lease)
    page = open_page(job.owner, f"/jobs/{job.pk}/")
    expect(page.locator("[data-log-empty]")).to_have_text("The job ended without output.")
