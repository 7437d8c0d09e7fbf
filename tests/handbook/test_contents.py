"""Every page is published, every link leads somewhere."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.urls import Resolver404, resolve

from handbook.contents import DECISION_INDEX, ROOT, Entry, contents
from handbook.library import neighbours, rendered
from handbook.links import resolver

ENTRIES = contents().entries


def of(address: str) -> Entry | None:
    return next((entry for entry in ENTRIES if entry.address == address), None)


def test_every_markdown_file_is_published_once() -> None:
    files = [entry.file for entry in ENTRIES if entry.path.exists()]
    assert sorted(files) == sorted(set(files))
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    assert there - set(files) == set()


def test_every_address_is_another() -> None:
    assert len({entry.slug for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file)
def test_page_has_a_title_and_links_that_lead_somewhere(entry: Entry) -> None:
    page = rendered(entry)
    assert page.title
    assert entry.description
    assert page.dead == []
    assert [link for link in page.links if not leads_somewhere(link, page.anchors)] == []


def leads_somewhere(link: str, own_anchors: set[str]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.scheme in ("http", "https", "mailto")
    if not parts.path:
        return parts.fragment in own_anchors
    if parts.path.startswith("/static/"):
        return finders.find(parts.path.removeprefix("/static/")) is not None
    if entry := of(parts.path):
        return not parts.fragment or parts.fragment in rendered(entry).anchors
    try:
        resolve(parts.path)
    except Resolver404:
        return False
    return not parts.path.startswith("/docs/") or parts.path == f"/docs/{DECISION_INDEX}/"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("ssh.md", "/docs/howto/ssh/"),
        ("../reference/exec.md#errors", "/docs/reference/exec/#errors"),
        ("../../SECURITY.md", "/docs/security/"),
        ("../decisions", "/docs/decisions/"),
        ("../images/jobs.png", "/static/docs/jobs.png"),
        ("#here", "#here"),
        ("https://example.org/x.md", "https://example.org/x.md"),
        ("../../manage.py", None),
        ("../../../../etc/passwd", None),
        ("nowhere.md", None),
    ],
)
def test_links_between_files_become_links_of_the_site(link: str, address: str | None) -> None:
    assert resolver(contents(), "docs/howto/urls.md", "/static/{}".format)(link) == address


def test_pages_follow_each_other() -> None:
    found = contents()
    seen, at = [], found.ordered[0]
    while at:
        seen.append(at)
        at = neighbours(found, at)[1]  # type: ignore[assignment]
    assert tuple(seen) == found.ordered
