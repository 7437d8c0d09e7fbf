"""Chromium, and the log on a job's page as it sees it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as NotInTime

CHROMIUM = Path(__file__).with_name("deaf_chromium.py")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

expect.set_options(timeout=20_000)  # ms; machines that run all tests at once are slow now and then


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the Python that has its libraries
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(FLAGS), env={**os.environ, "PATH": path}
        )
        try:
            yield browser
        finally:
            browser.close()


class LogPanel:
    """The log on a job's page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.locator("[data-log-box]")

    def wait_for_state(self, state: str, timeout_s: float = 20) -> None:
        try:
            self.page.wait_for_selector(f"[data-log-state][data-state={state}]", timeout=timeout_s * 1000)
        except NotInTime as error:
            error.add_note(f"the page said: {self.page.evaluate(WHAT_IT_SAYS)}")
            raise

    def wait_for_lines(self, text: str, timeout_s: float = 20) -> None:
        """`text` is what the counter says: "3 lines"."""
        self.page.wait_for_selector(f"[data-log-count]:text-is('{text}')", timeout=timeout_s * 1000)

    def shown(self) -> list[str]:
        """The text of the rows that are in the document."""
        return self.page.locator(".log-row .log-text").all_inner_texts()

    def everything(self) -> list[str]:
        """All lines, read as a person would: from the top, screen by screen."""
        return list(self.page.evaluate(READ_ALL))


# Of the log's panel, and whether its scripts arrived.
WHAT_IT_SAYS = """() => ({
  panel: document.querySelector("[data-log]")?.innerText.slice(0, 400),
  states: [...document.querySelectorAll("[data-log-state]")].map((element) => element.dataset.state),
  reloads: sessionStorage.getItem("mags-reloads"),
  scripts: performance.getEntriesByType("resource").map((entry) => [entry.name, entry.responseStatus]),
})"""

# Rows are keyed by their line; a line that shows twice with other text would be seen.
READ_ALL = """async () => {
  const box = document.querySelector("[data-log-box]");
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const seen = new Map();
  box.scrollTop = 0;
  for (let last = -1; box.scrollTop !== last; ) {
    last = box.scrollTop;
    await frame();
    for (const row of box.querySelectorAll(".log-row")) {
      seen.set(Number(row.dataset.line), row.querySelector(".log-text").textContent);
    }
    box.scrollTop += box.clientHeight - 40;
  }
  const lines = [...seen.keys()].sort((a, b) => a - b);
  return lines.map((line, at) => (line === at ? seen.get(line) : `missing ${at}`));
}"""
