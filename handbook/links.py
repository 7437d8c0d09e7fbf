"""Links between files of the checkout, as links of the site."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from handbook.contents import DECISION_INDEX, Contents

IMAGES = "docs/images/"

Resolve = Callable[[str], str | None]


def resolver(contents: Contents, file: str, static: Callable[[str], str]) -> Resolve:
    """Of the links in `file`: an address of the site, or None where nothing is published."""

    def resolve(link: str) -> str | None:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
            return link
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), unquote(parts.path)))
        address = _published(contents, target, static)
        return address and (f"{address}#{parts.fragment}" if parts.fragment else address)

    return resolve


def _published(contents: Contents, target: str, static: Callable[[str], str]) -> str | None:
    if target == f"docs/{DECISION_INDEX}":
        return f"/docs/{DECISION_INDEX}/"
    if target.startswith(IMAGES):
        return static(f"docs/{target.removeprefix(IMAGES)}")
    entry = contents.by_file(target)
    return entry.address if entry else None
