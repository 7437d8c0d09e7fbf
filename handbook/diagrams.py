"""Diagrams in Mermaid's notation, as the list of their edges.

The library that draws them is larger than all other scripts of the dashboard and writes inline styles. A
list is also what somebody who does not see the picture can read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NODE = r"(?P<{0}>\w+|\[\*\])(?:\[\(?\"(?P<{0}_text>[^\"]*)\"\)?\])?"
EDGE = re.compile(
    rf"^\s*{NODE.format('source')}\s*(?P<arrow><?-->)\s*(?:\|\"?(?P<label>[^|\"]*)\"?\|)?\s*"
    rf"{NODE.format('target')}\s*$"
)
ENDS = {"[*]": ("begins", "ends")}  # of a state diagram
BREAK = re.compile(r"<br\s*/?>")


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    label: str
    is_mutual: bool


def diagram(text: str) -> SafeString:
    rows = format_html_join(
        "",
        '<li><span class="node">{}</span><span class="arrow" aria-label="{}">{}</span>'
        '<span class="node">{}</span>{}</li>',
        (
            (
                edge.source,
                "and" if edge.is_mutual else "to",
                "↔" if edge.is_mutual else "→",
                edge.target,
                format_html('<span class="edge">{}</span>', edge.label) if edge.label else "",
            )
            for edge in edges(text)
        ),
    )
    return format_html('<ul class="diagram">{}</ul>\n', rows)


def edges(text: str) -> Iterator[Edge]:
    names: dict[str, str] = {}
    for line in text.splitlines():
        found = EDGE.match(line)
        if not found:
            continue
        for end in ("source", "target"):
            if found[f"{end}_text"]:
                names[found[end]] = BREAK.sub(" ", found[f"{end}_text"])
        yield Edge(
            _name(names, found["source"], 0),
            _name(names, found["target"], 1),
            BREAK.sub(" ", found["label"] or ""),
            found["arrow"].startswith("<"),
        )


def _name(names: dict[str, str], node: str, end: int) -> str:
    return ENDS[node][end] if node in ENDS else names.get(node, node)
