"""Blocks of code as HTML. Colours are classes, as the Content-Security-Policy allows no inline style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound

NAMES = {
    "bash": "Shell",
    "sh": "Shell",
    "console": "Terminal",
    "python": "Python",
    "js": "Node",
    "javascript": "Node",
    "json": "JSON",
    "toml": "TOML",
    "yaml": "YAML",
    "nginx": "nginx",
    "http": "HTTP",
    "sql": "SQL",
    "ini": "Configuration",
    "dockerfile": "Dockerfile",
}
FORMATTER = HtmlFormatter(nowrap=True, classprefix="t-")


@dataclass(frozen=True, slots=True)
class Fence:
    """What the info string of a fence says: ```python run tab=Python file=ci.py"""

    language: str
    tab: str
    title: str

    @classmethod
    def of(cls, info: str) -> Fence:
        language, *words = info.split() or [""]
        options = dict(word.split("=", 1) for word in words if "=" in word)
        title = options.get("title") or options.get("file") or ("Output" if "output" in words else "")
        return cls(language, options.get("tab", ""), title)

    @property
    def label(self) -> str:
        return self.title or self.tab or NAMES.get(self.language, self.language)


def code_block(code: str, info: str) -> SafeString:
    fence = Fence.of(info)
    return format_html(
        '<figure class="code" data-code{}><figcaption>{}</figcaption>'
        '<pre tabindex="0" aria-label="{}"><code>{}</code></pre></figure>\n',
        format_html(' data-tab="{}"', fence.tab) if fence.tab else "",
        fence.label,
        f"Code: {fence.label}" if fence.label else "Code",
        coloured(code, fence.language),
    )


def coloured(code: str, language: str) -> SafeString:
    return SafeString(highlight(code, _lexer(language), FORMATTER))  # Pygments has escaped it


def _lexer(language: str) -> Lexer:
    try:
        lexer: Lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    return lexer


def grouped(tokens: Sequence[Token]) -> list[Token]:
    """With consecutive fences that name a tab put into a group of their own."""
    result: list[Token] = []
    run: list[Token] = []
    for token in tokens:
        if token.type == "fence" and Fence.of(token.info).tab:
            run.append(token)
            continue
        result += _group(run)
        run = []
        result.append(token)
    return [*result, *_group(run)]


def _group(fences: list[Token]) -> list[Token]:
    if len(fences) < 2:
        return fences
    return [Token("code_group_open", "div", 1), *fences, Token("code_group_close", "div", -1)]
