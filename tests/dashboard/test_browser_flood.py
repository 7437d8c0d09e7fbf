"""A page whose job prints more, and faster, than anybody reads.

The long form, with the figures at 20,000 lines a second: `FLOOD_LINES=1000000`, and `-s`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from jobs.models import Job, Lease
from tests.accounts.factories import user
from tests.dashboard.browser import LogPanel
from tests.dashboard.live import LiveAgent, WebServer
from tests.jobs import factories

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

Open = Callable[[User | None, str], Page]
LONG = "FLOOD_LINES"
LINES = int(os.environ.get(LONG, "205000"))  # just more than a page holds
RATE = 20_000 if LONG in os.environ else 1_000_000  # lines a second, where the machine can
BATCH = 10_000
HELD_MOST = 250_000  # lines: what is held, and what was under way when the page said that it has enough
HEAP_MOST = 150 * 1024 * 1024  # bytes; a million lines would be twice that
# Time between frames, and tasks that kept the page from answering.
WATCH = """() => {
  const watched = (window.watched = { frames: [], tasks: [] });
  new PerformanceObserver((list) => watched.tasks.push(...list.getEntries().map((e) => e.duration)))
    .observe({ type: "longtask" });
  let last = performance.now();
  const frame = (now) => { watched.frames.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def flood(agent: LiveAgent, lease: Lease, begin: int, end: int) -> None:
    started = time.monotonic()
    for at in range(begin, end, BATCH):
        agent.prints(
            lease, b"".join(b"line %d of a flood of output\n" % n for n in range(at, min(at + BATCH, end)))
        )
        ahead_s = (at + BATCH - begin) / RATE - (time.monotonic() - started)
        time.sleep(max(0.0, ahead_s))


def heap_bytes(page: Page) -> int:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


def figures(page: Page) -> dict[str, Any]:
    found = page.evaluate("window.watched")
    frames = sorted(found["frames"])
    return {
        "frames": len(frames),
        "frame_p50_ms": round(frames[len(frames) // 2], 1),
        "frame_p95_ms": round(frames[len(frames) * 95 // 100], 1),
        "frame_most_ms": round(frames[-1], 1),
        "long_tasks": len(found["tasks"]),
        "longest_task_ms": max(found["tasks"], default=0),
        "heap_mb": round(heap_bytes(page) / 1024 / 1024, 1),
    }


def running(agent: LiveAgent) -> tuple[Job, Lease]:
    job = factories.job(user(), name="flood")
    lease = factories.lease_of(job)
    agent.start(lease)
    return job, lease


def test_a_flood_is_held_in_part_and_read_in_full(web: WebServer, agent: LiveAgent, open_page: Open) -> None:
    job, lease = running(agent)
    panel = LogPanel(open_page(job.owner, f"/jobs/{job.pk}/"))
    page, last = panel.page, page_last_line(panel)
    panel.wait_for_state("live")
    page.evaluate(WATCH)
    flood(agent, lease, 0, LINES)
    panel.wait_for_lines(f"{LINES:,} lines", timeout_s=120)
    measured = figures(page)
    print(json.dumps({"lines": LINES, **measured}))
    assert measured["heap_mb"] * 1024 * 1024 < HEAP_MOST
    expect(last).to_have_text(f"line {LINES - 1} of a flood of output")

    earlier = page.locator("[data-log-earlier]")
    expect(earlier).to_contain_text("are not in this page any more")
    agent.finish(lease)
    panel.wait_for_state("ended")
    while earlier.is_visible():
        top = first_number(panel)
        earlier.locator("button").click()
        panel.box.press("Home")
        expect(page.locator(".log-row .log-number").first).not_to_have_text(top)
    expect(page.locator(".log-row .log-text").first).to_have_text("line 0 of a flood of output")
    expect(page.locator("[data-log-state]")).to_have_text("Waiting for you")
    seen = panel.page.evaluate(READ_ON, LINES)
    assert seen["wrong"] == []
    assert seen["most"] <= HELD_MOST
    expect(last).to_have_text(f"line {LINES - 1} of a flood of output")
    panel.wait_for_state("ended")

    page.goto(f"{web.url}/jobs/{job.pk}/#L4711")
    page.reload()
    expect(page.locator(".log-row.is-current .log-text")).to_have_text("line 4710 of a flood of output")


def page_last_line(panel: LogPanel) -> Any:
    return panel.page.locator(".log-row .log-text").last


def first_number(panel: LogPanel) -> str:
    panel.box.press("Home")
    return panel.page.locator(".log-row .log-number").first.inner_text()


# To the end, a leap at a time: every row in sight says what its number says.
READ_ON = """async (lines) => {
  const box = document.querySelector("[data-log-box]");
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const wrong = [];
  let most = 0;
  for (let reached = 0; reached < lines && wrong.length < 5; ) {
    box.scrollTop += 200_000;
    if (box.scrollTop + box.clientHeight > box.scrollHeight - 100) box.scrollTop = box.scrollHeight;
    await frame();
    most = Math.max(most, box.scrollHeight / 20);
    for (const row of box.querySelectorAll(".log-row")) {
      const number = Number(row.querySelector(".log-number").textContent);
      const text = row.querySelector(".log-text").textContent;
      if (text !== `line ${number - 1} of a flood of output`) wrong.push([number, text]);
      reached = Math.max(reached, number);
    }
  }
  return { wrong, most };
}"""
