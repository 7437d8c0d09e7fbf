"""Rules that hold for every template: nothing inline that the Content-Security-Policy would refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html")) + sorted((ROOT / "templates").rglob("*.svg"))
MODULES = [
    path for site in ("dashboard", "handbook") for path in sorted((ROOT / "static" / site).rglob("*.js"))
]
INLINE = {
    "script without src": re.compile(r"<script(?![^>]*\bsrc=)", re.IGNORECASE),
    "style element": re.compile(r"<style", re.IGNORECASE),
    "style attribute": re.compile(r"\sstyle\s*=", re.IGNORECASE),
    "event attribute": re.compile(r"\son[a-z]+\s*=", re.IGNORECASE),
    "javascript address": re.compile(r"javascript:", re.IGNORECASE),
    "autoescape off": re.compile(r"\|\s*safe\b|autoescape\s+off|safeseq"),
    "address of another site": re.compile(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE),
}
HTML_SINKS = re.compile(
    r"\.(?:inner|outer)HTML\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function\("
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_template_has_nothing_inline(path: Path) -> None:
    text = path.read_text()
    assert [what for what, pattern in INLINE.items() if pattern.search(text)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_script_makes_no_html_from_text(path: Path) -> None:
    assert HTML_SINKS.findall(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "<p STYLE='x'>",
        '<a onclick="x">',
        "<style>",
        "{{ x|safe }}",
        '<img src="//x.example/a">',
    ],
)
def test_rules_would_see_it(text: str) -> None:
    assert any(pattern.search(text) for pattern in INLINE.values())


def test_there_are_templates_and_scripts() -> None:
    assert len(TEMPLATES) > 10
    assert len(MODULES) > 10
