"""The blocks of the docs that are executed, and how they are marked.

What stands behind the three backticks says what becomes of a block:

| | |
|---|---|
| `bash run` | a script; it has to end with 0 |
| `python run`, `javascript run` | a program; it has to end with 0 |
| `console run` | commands behind `$ `, which go on behind `> `, each followed by exactly what it prints |
| `LANGUAGE file=NAME` | written to the file NAME, for the blocks that follow |
| `text output` | exactly what the block before it printed |

`tab=NAME` beside these is for whoever renders the page. Anything else is only shown. In what is printed,
`...` stands for anything: in a line for some characters, alone for any number of lines. The blocks of one
page are executed in order, in one empty home directory and as one user of their own. The addresses of a
default installation stand for those of the stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from deploy.layout import ROOT

DOCS = ROOT / "docs"
RUN = ("bash", "python", "javascript", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `expected` is None where nothing is said about what it prints."""

    page: str
    line: int
    language: str
    text: str
    file: str | None = None
    expected: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console, and what it prints."""

    text: str
    expected: str


def executed_pages() -> list[str]:
    """The pages with something to execute, by their paths below docs/."""
    pages = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
    return [page for page in pages if any(block.file is None for block in blocks(page))]


def blocks(page: str) -> list[Block]:
    return blocks_of((DOCS / page).read_text(encoding="utf-8"), page)


def blocks_of(text: str, page: str) -> list[Block]:
    found: list[Block] = []
    for token in MarkdownIt().parse(text):
        if token.type != "fence":
            continue
        language, *marks = token.info.split() or [""]
        line = (token.map or [0])[0] + 1
        mark = " ".join(mark for mark in marks if not mark.startswith("tab="))
        if mark == "output":
            found[-1] = _with_output(found[-1], token.content)
        elif mark == "run" and language in RUN:
            found.append(Block(page, line, language, token.content))
        elif mark.startswith("file=") and " " not in mark:
            found.append(Block(page, line, language, token.content, file=mark.removeprefix("file=")))
        elif mark:
            raise ValueError(f"{page}:{line}: nobody knows what {token.info!r} means")
    return found


def _with_output(block: Block, expected: str) -> Block:
    return Block(block.page, block.line, block.language, block.text, block.file, expected)


def commands(text: str) -> list[Command]:
    """Those of a console."""
    found: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1][0].append(line[2:])
        elif found:
            found[-1][1].append(line)
        else:
            raise ValueError(f"a console begins with a command, not with {line!r}")
    return [Command("\n".join(typed), "\n".join(printed)) for typed, printed in found]


def fits(expected: str, printed: str) -> bool:
    """Whether that is what was to be printed; spaces at the ends of lines do not count."""
    pattern = "".join(map(_line_pattern, expected.strip().splitlines()))
    return re.fullmatch(pattern, _tidy(printed)) is not None


def _tidy(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())


def _line_pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:[^\n]*\n)*?"
    return "[^\n]*?".join(map(re.escape, line.rstrip().split("..."))) + "\n"


def homeward(path: Path, name: str) -> Path:
    """Where a page's file is written: nowhere but in its home."""
    target = (path / name).resolve()
    if not target.is_relative_to(path.resolve()):
        raise ValueError(f"{name} is not below the page's home")
    return target
