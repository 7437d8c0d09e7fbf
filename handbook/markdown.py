"""Markdown as HTML. Nothing in a page is trusted to be HTML: what looks like it is shown as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.utils.html import format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.container import container_plugin

from handbook.diagrams import diagram
from handbook.highlight import Fence, code_block, grouped
from handbook.links import Resolve

CONTAINERS = ("call", "words", "samples", "fields", "cards")  # of generated pages; they become <div class>
LINKED_LEVELS = (2, 3, 4)
LISTED_LEVELS = (2, 3)  # of headings, in the table of contents

Env = dict[str, object]


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str
    anchor: str


@dataclass(slots=True)
class Rendered:
    html: SafeString
    title: str
    headings: list[Heading]
    anchors: set[str]
    links: list[str] = field(default_factory=list)  # as they stand in the page
    dead: list[str] = field(default_factory=list)  # those that lead nowhere


def parse(text: str) -> list[Token]:
    return MARKDOWN.parse(text)


def render(text: str, resolve: Resolve) -> Rendered:
    tokens = parse(text)
    headings = [_heading(tokens, at) for at, token in enumerate(tokens) if token.type == "heading_open"]
    links, dead = _resolve_links(tokens, resolve)
    body = grouped(_without_title(tokens))
    return Rendered(
        html=SafeString(MARKDOWN.renderer.render(body, MARKDOWN.options, {})),  # escaped by the rules below
        title=next((heading.text for heading in headings if heading.level == 1), ""),
        headings=[heading for heading in headings if heading.level in LISTED_LEVELS],
        anchors={heading.anchor for heading in headings},
        links=links,
        dead=dead,
    )


def plain(token: Token) -> str:
    """The text of an inline token."""
    return "".join(
        " " if child.type in ("softbreak", "hardbreak") else child.content
        for child in token.children or []
        if child.type in ("text", "code_inline", "softbreak", "hardbreak")
    )


def _heading(tokens: Sequence[Token], at: int) -> Heading:
    anchor = str(tokens[at].attrGet("id") or "")
    return Heading(int(tokens[at].tag[1]), plain(tokens[at + 1]), anchor)


def _without_title(tokens: Sequence[Token]) -> list[Token]:
    """The template shows the title, so that there is exactly one."""
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        return list(tokens[3:])
    return list(tokens)


def _resolve_links(tokens: Sequence[Token], resolve: Resolve) -> tuple[list[str], list[str]]:
    links: list[str] = []
    dead: list[str] = []
    for child in (child for token in tokens for child in token.children or []):
        name = {"link_open": "href", "image": "src"}.get(child.type)
        if name is None:
            continue
        link = str(child.attrGet(name))
        address = resolve(link)
        if address is None:
            dead.append(link)
        else:
            links.append(address)
            child.attrSet(name, address)
    return links, dead


Rule = Callable[[RendererHTML, Sequence[Token], int, OptionsDict, Env], str]


def _fence(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: Env) -> str:
    token = tokens[at]
    if Fence.of(token.info).language == "mermaid":
        return diagram(token.content)
    return code_block(token.content, token.info)


def _html(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: Env) -> str:
    """Comments are for who reads the source; everything else is text."""
    content = tokens[at].content.strip()
    is_comment = content.startswith("<!--") and content.endswith("-->")
    return "" if is_comment else escapeHtml(tokens[at].content)


def _heading_close(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, ___: Env) -> str:
    heading = _heading(tokens, at - 2)
    if heading.level not in LINKED_LEVELS:
        return f"</{tokens[at].tag}>\n"
    link = format_html(
        ' <a class="anchor" href="#{}" aria-label="Link to “{}”">#</a>', heading.anchor, heading.text
    )
    return f"{link}</{tokens[at].tag}>\n"


def _fixed(html: str) -> Rule:
    return lambda *_: html


def _markdown() -> MarkdownIt:
    # `html` only makes the parser find HTML; `_html` renders it, as text.
    markdown = MarkdownIt("commonmark", {"html": True, "alerts": True}).enable(["table", "strikethrough"])
    anchors_plugin(markdown, min_level=1, max_level=4)
    for name in CONTAINERS:
        container_plugin(markdown, name)
    rules: dict[str, Rule] = {
        "fence": _fence,
        "html_block": _html,
        "html_inline": _html,
        "heading_close": _heading_close,
        "table_open": _fixed(
            '<div class="table-scroll" role="group" aria-label="Table" tabindex="0"><table>\n'
        ),
        "table_close": _fixed("</table></div>\n"),
        "code_group_open": _fixed('<div class="code-group" data-code-group>\n'),
        "code_group_close": _fixed("</div>\n"),
    }
    for name, rule in rules.items():
        markdown.add_render_rule(name, rule)
    return markdown


MARKDOWN = _markdown()
