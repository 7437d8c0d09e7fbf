"""What axe (https://github.com/dequelabs/axe-core) finds on a page, as it was installed from npm."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
# Preloading would fetch every style sheet once more, for rules that no page of ours comes under.
RUN = """async (rules) => {
  const found = await axe.run(document, {
    preload: false,
    resultTypes: ["violations"],
    ...(rules.length ? { runOnly: { type: "rule", values: rules } } : {}),
  });
  return found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
}"""


def check(page: Page, *rules: str) -> None:
    """Fails where axe has serious or critical findings on the page as it is now: by these rules, or all."""
    page.emulate_media(reduced_motion="reduce")  # a colour on its way to another one has no contrast yet
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    found = page.evaluate(RUN, list(rules))
    assert not found, f"{page.url}\n" + "\n".join(_words(finding) for finding in found)


def check_both_themes(page: Page) -> None:
    """All rules in the light theme, and what depends on colours in the dark one too."""
    page.emulate_media(color_scheme="light")
    check(page)
    page.emulate_media(color_scheme="dark")
    check(page, "color-contrast", "link-in-text-block")


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


def _words(finding: dict[str, Any]) -> str:
    places = "".join(f"\n    {node['target'][0]}: {node['failureSummary']}" for node in finding["nodes"][:5])
    return f"  {finding['impact']} {finding['id']}: {finding['help']}{places}"
