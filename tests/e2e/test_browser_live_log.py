"""A person watches a script run in a real sandbox: how soon lines are seen, and what a crash of the web
process does to them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browser import LogPanel
from tests.e2e.running import RunningStack
from tests.e2e.signedin import signed_in

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.browser, pytest.mark.timeout(300)]

SEEN_WITHIN_MS = 500
SETTLE_MS = 3500  # once web is back: the agent's pause grows to 3.2 s in an outage of that length
TICKS = 120
TICK_S = 0.2
A_WHILE_LATER = re.compile(r"tick [2-9]\d ")  # Playwright looks less often than a line comes
TICK = re.compile(r"tick (\d+) (\d+)")

# Each line says when it was printed. The sandbox and the browser share one clock: the machine's.
TICKER = f"""i=0
while [ $i -lt {TICKS} ]; do echo "tick $i $(date +%s%3N)"; i=$((i+1)); sleep {TICK_S}; done
"""

# Notes when each line was first on the screen and when the connection changed.
WATCH = """() => {
  const seen = (window.seen = {});
  const states = (window.states = []);
  const note = () => {
    for (const row of document.querySelectorAll(".log-row")) {
      seen[row.dataset.line] ??= { text: row.querySelector(".log-text").textContent, at: Date.now() };
    }
    const { state } = document.querySelector("[data-log-state]").dataset;
    if (states.at(-1)?.state !== state) states.push({ state, at: Date.now() });
    requestAnimationFrame(note);
  };
  note();
}"""


@dataclass(frozen=True)
class Sighting:
    """A tick: when it was printed and when it was first on the screen, Unix ms."""

    number: int
    printed_at: int
    seen_at: int

    @property
    def delay_ms(self) -> int:
        return self.seen_at - self.printed_at


@pytest.fixture
def page(chromium: Browser, stack: RunningStack) -> Iterator[Page]:
    with signed_in(chromium, stack) as page:
        yield page


def run(page: Page, script: str) -> LogPanel:
    """Type the script into the form and run it."""
    if not page.locator("#script").is_visible():
        page.keyboard.press("c")
    page.fill("#script", script)
    page.press("#script", "Control+Enter")
    expect(page.locator("[data-page=job]")).to_be_visible()
    return LogPanel(page)


def sightings(page: Page) -> list[Sighting]:
    found = []
    for line in page.evaluate("Object.values(window.seen)"):
        match = TICK.fullmatch(line["text"])
        assert match, line
        found.append(Sighting(int(match[1]), int(match[2]), line["at"]))
    return found


def outages(page: Page) -> list[tuple[int, int]]:
    """From each loss of the connection to its return. Besides the kill there may be others: Chromium drops
    connections when the agent makes a network interface on the same machine."""
    found = []
    lost_at = None
    for change in page.evaluate("window.states"):
        if change["state"] == "reconnecting":
            lost_at = change["at"]
        elif lost_at is not None:
            found.append((lost_at, change["at"] + SETTLE_MS))
            lost_at = None
    return found


def test_lines_are_seen_at_once_and_a_killed_web_process_loses_none(stack: RunningStack, page: Page) -> None:
    panel = run(page, TICKER)
    panel.wait_for_state("live")
    page.evaluate(WATCH)
    expect(page.locator(".log-row .log-text").last).to_have_text(A_WHILE_LATER)
    killed_at = time.time() * 1000
    stack.kill("web")
    panel.wait_for_state("reconnecting")
    panel.wait_for_state("live", timeout_s=60)
    panel.wait_for_state("ended", timeout_s=60)

    lines = [TICK.fullmatch(line) for line in panel.everything()]
    assert [match and int(match[1]) for match in lines] == list(range(TICKS))
    away = outages(page)
    assert any(killed_at <= lost_at for lost_at, _ in away)
    watched = [
        sighting
        for sighting in sightings(page)[1:]  # the first was there before we looked
        if not any(sighting.printed_at < back_at and lost_at < sighting.seen_at for lost_at, back_at in away)
    ]
    late = [sighting for sighting in watched if sighting.delay_ms > SEEN_WITHIN_MS]
    delays = sorted(sighting.delay_ms for sighting in watched)
    print(f"{len(delays)} lines: p50 {delays[len(delays) // 2]} ms, most {delays[-1]} ms; away {away}")
    assert late == []
    assert len(watched) > TICKS / 3, "the web process was away for most of the test: little was shown"
    expect(page.locator("#job-line .exit")).to_have_text("0")


def test_a_hundred_thousand_lines_from_a_sandbox(stack: RunningStack, page: Page) -> None:
    panel = run(page, "seq -f 'line %.0f' 1 100000")
    panel.wait_for_state("ended", timeout_s=90)
    panel.wait_for_lines("100,000 lines")
    assert panel.shown()[-1] == "line 100000"
    panel.box.press("Home")
    expect(page.locator(".log-row .log-text").first).to_have_text("line 1")


def test_output_of_a_sandbox_cannot_act_on_the_page(stack: RunningStack, page: Page) -> None:
    panel = run(
        page,
        "printf '<script>document.title=1</script><img src=x onerror=document.title=2>\\n'\n"
        "printf '\\033]0;title\\007\\033[31mred\\033[0m \\033[2Jdone\\n' >&2\n",
    )
    panel.wait_for_state("ended")
    assert sorted(panel.everything()) == [
        "<script>document.title=1</script><img src=x onerror=document.title=2>",
        "red done",
    ]
    expect(page.locator(".is-stderr .sgr-f1")).to_have_text("red")
    expect(page).to_have_title(re.compile("Mags$"))
