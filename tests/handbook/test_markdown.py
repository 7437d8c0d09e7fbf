"""What becomes of Markdown: of code, of links, and of what should not be there."""

from __future__ import annotations

import pytest

from handbook.diagrams import Edge, edges
from handbook.markdown import render


def html(text: str) -> str:
    return render(text, lambda link: link).html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "x <img src=x onerror=alert(1)> y",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "```<script>\n</code></pre><script>alert(1)</script>\n```",
        '```bash tab="><script>alert(1)</script>\nx\n```',
        "```mermaid\na --> b\na -->|<script>| c\n```",
        "# <script>alert(1)</script>\n\n## <img src=x onerror=alert(1)>",
        "| <script> |\n|---|\n| <script> |",
        "<!-- --><script>alert(1)</script><!-- -->",
    ],
)
def test_nothing_becomes_html_that_was_written_as_such(hostile: str) -> None:
    made = html(hostile)
    assert "<script" not in made
    assert "<img" not in made
    assert 'href="javascript' not in made
    assert 'href="data' not in made


def test_comments_are_left_out() -> None:
    assert "executed" not in html("before\n\n<!-- executed by a test -->\n\nafter")


def test_code_has_classes_and_no_styles() -> None:
    made = html("```python run\nimport os\n```")
    assert '<span class="t-kn">import</span>' in made
    assert "style=" not in made
    assert "<figcaption>Python</figcaption>" in made


def test_code_in_an_unknown_language_is_text() -> None:
    assert "a &lt; b" in html("```nolanguage\na < b\n```")


def test_blocks_with_tabs_become_a_group() -> None:
    made = html("```bash tab=CLI\na\n```\n```python tab=Python\nb\n```\n\n```bash\nc\n```")
    assert made.count("data-code-group") == 1
    assert [made.index(mark) for mark in ('data-tab="CLI"', 'data-tab="Python"', "</div>")] == sorted(
        made.index(mark) for mark in ('data-tab="CLI"', 'data-tab="Python"', "</div>")
    )
    assert "data-code-group" not in html("```bash tab=CLI\na\n```\n\ntext\n\n```bash tab=Python\nb\n```")


def test_what_a_block_is_called() -> None:
    assert "<figcaption>ci.py</figcaption>" in html("```python file=ci.py\nx\n```")
    assert "<figcaption>Output</figcaption>" in html("```text output\nx\n```")


def test_notes_are_told_apart() -> None:
    assert "markdown-alert-warning" in html("> [!WARNING]\n> It is gone.")


def test_headings_can_be_linked() -> None:
    page = render("# Title\n\n## Do `this`\n\n## Do `this`\n\n### More", lambda link: link)
    assert page.title == "Title"
    assert [(heading.text, heading.anchor) for heading in page.headings] == [
        ("Do this", "do-this"),
        ("Do this", "do-this-1"),
        ("More", "more"),
    ]
    assert 'href="#do-this-1"' in page.html


def test_links_that_lead_nowhere_are_told() -> None:
    assert render("[a](b.md) ![c](d.png)", lambda _: None).dead == ["b.md", "d.png"]


def test_diagrams_are_read() -> None:
    text = (
        'flowchart LR\n  web["web<br/>(API)"] -->|"asks"| db[("the truth")]\n  web <--> redis\n  [*] --> web'
    )
    assert list(edges(text)) == [
        Edge("web (API)", "the truth", "asks", is_mutual=False),
        Edge("web (API)", "redis", "", is_mutual=True),
        Edge("begins", "web (API)", "", is_mutual=False),
    ]
