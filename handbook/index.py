"""What the search looks through: the pages cut at their headings, and the words of each piece."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache

from markdown_it.token import Token

from handbook.contents import Contents, Entry, contents
from handbook.library import source, stamp
from handbook.markdown import parse, plain

WORD = re.compile(r"[a-z0-9]+")
WEIGHTS = {"title": 12.0, "heading": 6.0, "text": 1.0}
BACKGROUND = 0.3  # of the weight that the same words have on a page for users
MOST_COUNTED = 4  # times of a word in one piece; more of the same is no better answer


@dataclass(frozen=True, slots=True)
class Piece:
    """What stands below one heading of a page."""

    entry: Entry
    heading: str  # empty: the beginning of the page
    anchor: str
    text: str

    @property
    def address(self) -> str:
        return f"{self.entry.address}#{self.anchor}" if self.anchor else self.entry.address


@dataclass(frozen=True, slots=True)
class Index:
    pieces: tuple[Piece, ...]
    weights: dict[str, dict[int, float]]  # word -> number of a piece -> how much it is about it


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def index() -> Index:
    found = contents()
    return _index(found, sum(stamp(entry) for entry in found.entries))


@lru_cache(maxsize=1)
def _index(found: Contents, _stamp: int) -> Index:
    pieces = tuple(piece for entry in found.entries for piece in _pieces(entry))
    weights: dict[str, dict[int, float]] = defaultdict(dict)
    for number, piece in enumerate(pieces):
        factor = BACKGROUND if piece.entry in found.background else 1.0
        for word, weight in _weights(piece).items():
            weights[word][number] = weight * factor
    return Index(pieces, dict(weights))


def _weights(piece: Piece) -> dict[str, float]:
    weights: dict[str, float] = defaultdict(float)
    title = piece.entry.title if not piece.anchor else ""
    for place, text in (("title", title), ("heading", piece.heading), ("text", piece.text)):
        for word, count in Counter(words(text)).items():
            weights[word] += WEIGHTS[place] * min(count, MOST_COUNTED)
    return weights


def _pieces(entry: Entry) -> list[Piece]:
    found: list[tuple[str, str, list[str]]] = [("", "", [entry.description])]
    tokens = parse(source(entry))
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag != "h1":
            found.append((plain(tokens[at + 1]), str(token.attrGet("id")), []))
        elif not _is_in_heading(tokens, at):
            found[-1][2].append(_text(token))
    return [
        Piece(entry, heading, anchor, " ".join(" ".join(texts).split())) for heading, anchor, texts in found
    ]


def _is_in_heading(tokens: list[Token], at: int) -> bool:
    return at > 0 and tokens[at - 1].type == "heading_open"


def _text(token: Token) -> str:
    if token.type == "inline":
        return plain(token)
    return token.content if token.type in ("fence", "code_block") else ""
