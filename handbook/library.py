"""The pages themselves, rendered once for each state of their files."""

from __future__ import annotations

from functools import lru_cache

from django.templatetags.static import static

from handbook import rest
from handbook.contents import Contents, Entry, contents
from handbook.links import resolver
from handbook.markdown import Rendered, render

REST_PAGES = "api/"


def source(entry: Entry) -> str:
    """The page as Markdown."""
    if entry.path.exists():
        return entry.path.read_text(encoding="utf-8")
    return rest.markdown(entry.slug.removeprefix(REST_PAGES))


def rendered(entry: Entry) -> Rendered:
    return _rendered(contents(), entry, stamp(entry))


def stamp(entry: Entry) -> int:
    """Another number when the page has changed."""
    return entry.path.stat().st_mtime_ns if entry.path.exists() else rest.stamp()


@lru_cache(maxsize=512)
def _rendered(found: Contents, entry: Entry, _stamp: int) -> Rendered:
    return render(source(entry), resolver(found, entry.file, static))


def neighbours(found: Contents, entry: Entry) -> tuple[Entry | None, Entry | None]:
    """The pages before and after this one, as one would read them."""
    order = found.decisions if entry in found.decisions else found.ordered
    at = order.index(entry)
    return (order[at - 1] if at else None, order[at + 1] if at + 1 < len(order) else None)
