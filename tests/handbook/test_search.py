"""What is found, and in which order."""

from __future__ import annotations

import pytest
from django.test import Client

from handbook.search import LIMIT, search


def addresses(question: str) -> list[str]:
    return [hit.piece.address for hit in search(question)]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("always on", "/docs/howto/always-on/"),
        ("alwyas on", "/docs/howto/always-on/"),  # two letters changed places
        ("postgres", "/docs/howto/postgresql/"),
        ("submit a job", "/docs/api/jobs/#submit-a-job"),
        ("Changelog", "/docs/changelog/"),
    ],
)
def test_the_page_that_is_meant_comes_first(question: str, first: str) -> None:
    assert addresses(question)[0] == first


def test_settings_are_found_by_name() -> None:
    assert any(address.startswith("/docs/reference/settings/") for address in addresses("MAGS_S3_PORT")[:3])


def test_excerpts_mark_what_was_found() -> None:
    hit = next(hit for hit in search("rsync") if hit.piece.address.startswith("/docs/howto/ssh/"))
    assert "rsync" in [text.lower() for text, is_marked in hit.excerpt if is_marked]


def test_there_is_an_end_to_it() -> None:
    assert len(search("a")) == LIMIT
    assert search("qqqqqqqq") == []
    assert search("?!") == []
    search("x" * 100_000)


def test_results_are_a_page() -> None:
    text = Client().get("/docs/search?q=ssh").content.decode()
    assert 'href="/docs/howto/ssh/"' in text
    assert "<mark>" in text


def test_a_question_is_text() -> None:
    text = Client().get("/docs/search", {"q": "<script>alert(1)</script>"}).content.decode()
    assert "<script>alert" not in text
    assert "Nothing found for" in Client().get("/docs/search?q=qqqqqqqq").content.decode()
