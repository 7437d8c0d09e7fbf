"""Search: every word that was asked for, as it is, as a beginning, or with one letter wrong."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from handbook.index import Index, Piece, index, words

LIMIT = 20
QUESTION_LIMIT = 200  # characters that are looked at
PER_PAGE = 3  # one page does not fill the answer
SHORTEST_TYPO = 4  # letters; shorter words are one letter away from everything
EXCERPT = 160  # characters
LEAD = 50  # of them before the first hit
EXACT, BEGINNING, TYPO = 1.0, 0.6, 0.3


@dataclass(frozen=True, slots=True)
class Hit:
    piece: Piece
    excerpt: tuple[tuple[str, bool], ...]  # text, and whether it is marked


def search(question: str) -> list[Hit]:
    """The best pieces first."""
    asked = words(question[:QUESTION_LIMIT])
    found = index()
    matches = [_matches(found, word) for word in asked]
    scores = _scores(found, matches)
    best = sorted(scores, key=lambda number: (-scores[number], number))
    known = {word for match in matches for word in match}
    return [
        Hit(found.pieces[number], _excerpt(found.pieces[number].text, known))
        for number in _spread(found, best)
    ]


def _matches(found: Index, asked: str) -> dict[str, float]:
    """Words of the pages that may be meant by this one, and how surely."""
    meant = {word: BEGINNING for word in found.weights if word.startswith(asked) and word != asked}
    if asked in found.weights:
        meant[asked] = EXACT
    if meant or len(asked) < SHORTEST_TYPO:
        return meant
    return {word: TYPO for word in found.weights if _is_one_edit_apart(asked, word)}


def _scores(found: Index, matches: list[dict[str, float]]) -> dict[int, float]:
    """Of pieces that have every word; where no piece has them all, of those that have any."""
    scores: dict[int, float] = defaultdict(float)
    counts: dict[int, int] = defaultdict(int)
    for match in matches:
        best: dict[int, float] = {}
        for word, surety in match.items():
            holders = found.weights[word]
            rarity = math.log(1 + len(found.pieces) / len(holders))
            for number, weight in holders.items():
                best[number] = max(best.get(number, 0.0), surety * rarity * weight)
        for number, score in best.items():
            scores[number] += score
            counts[number] += 1
    most = max(counts.values(), default=0)
    return {number: score for number, score in scores.items() if counts[number] == most}


def _spread(found: Index, numbers: list[int]) -> Iterator[int]:
    per_page: dict[str, int] = defaultdict(int)
    given = 0
    for number in numbers:
        slug = found.pieces[number].entry.slug
        per_page[slug] += 1
        if per_page[slug] <= PER_PAGE and given < LIMIT:
            given += 1
            yield number


def _is_one_edit_apart(one: str, other: str) -> bool:
    """One letter changed, left out, put in, or two neighbours swapped."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    at = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    rests = one[at:], other[at:]
    return (
        rests[0][1:] in (rests[1], rests[1][1:])
        or rests[0] == rests[1][1:]
        or (rests[0][:2] == rests[1][1::-1] and rests[0][2:] == rests[1][2:])
    )


def _excerpt(text: str, known: set[str]) -> tuple[tuple[str, bool], ...]:
    """The text around the first hit, cut between words."""
    longest_first = sorted(map(re.escape, known), key=len, reverse=True)
    pattern = re.compile(rf"\b({'|'.join(longest_first)})\b", re.IGNORECASE)
    first = pattern.search(text)
    begin = max(0, first.start() - LEAD) if first else 0
    if begin:
        begin = text.find(" ", begin) + 1
    cut = text[begin : begin + EXCERPT]
    if begin + EXCERPT < len(text):
        cut = f"{cut.rpartition(' ')[0] or cut} …"
    parts = pattern.split(f"… {cut}" if begin else cut)
    return tuple((part, at % 2 == 1) for at, part in enumerate(parts) if part)
