"""Which pages there are, in which order, and at which address: docs/contents.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings

from handbook import rest

ROOT = Path(settings.BASE_DIR)
CONTENTS = ROOT / "docs/contents.toml"
DECISIONS = ROOT / "docs/decisions"
DECISION_INDEX = "decisions"  # a page that lists the others; no file
NUMBER = re.compile(r"^# (?:\d{4}:? )?(?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A page. `file` is relative to the checkout; pages made from data name one that is not there."""

    slug: str
    title: str
    description: str
    file: str

    @property
    def address(self) -> str:
        return f"/docs/{self.slug}/" if self.slug else "/docs/"

    @property
    def raw_address(self) -> str:
        return f"/docs/{self.slug or 'overview'}.md"

    @property
    def path(self) -> Path:
        return ROOT / self.file


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    entries: tuple[Entry, ...]
    is_folded: bool  # in the navigation, unless one of its pages is shown


@dataclass(frozen=True, slots=True)
class Contents:
    sections: tuple[Section, ...]
    decisions: tuple[Entry, ...]  # published, but not in the navigation

    @property
    def ordered(self) -> tuple[Entry, ...]:
        """Every page of the navigation, as one would read them."""
        return tuple(entry for section in self.sections for entry in section.entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (*self.ordered, *self.decisions)

    @property
    def background(self) -> frozenset[Entry]:
        """Pages for who changes Mags: of little use to who asks how to use it."""
        folded = (entry for section in self.sections if section.is_folded for entry in section.entries)
        return frozenset((*folded, *self.decisions))

    def by_slug(self, slug: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.slug == slug), None)

    def by_file(self, file: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.file == file), None)

    def section_of(self, entry: Entry) -> str:
        found = (section.title for section in self.sections if entry in section.entries)
        return next(found, "Decisions")


def contents() -> Contents:
    """As the files have it now."""
    return _read(CONTENTS.stat().st_mtime_ns, DECISIONS.stat().st_mtime_ns, rest.stamp())


@lru_cache(maxsize=1)
def _read(*_stamps: int) -> Contents:
    sections = tomllib.loads(CONTENTS.read_text(encoding="utf-8"))["sections"]
    return Contents(tuple(_section(section) for section in sections), _decisions())


def _section(data: dict[str, Any]) -> Section:
    pages = [_entry(page) for page in data["pages"]]
    generated = _resources() if data.get("generated") == "rest" else ()
    entries = (*pages[:1], *generated, *pages[1:])
    return Section(data["title"], entries, data.get("folded", False))


def _entry(page: dict[str, str]) -> Entry:
    file = _in_checkout(page["file"])
    slug = page.get("slug", file.removeprefix("docs/").removeprefix("guide/").removesuffix(".md"))
    return Entry(slug, page["title"], page["description"], file)


def _in_checkout(file: str) -> str:
    """`file` of contents.toml, which is relative to docs/."""
    return file.removeprefix("../") if file.startswith("../") else str(PurePosixPath("docs") / file)


def _resources() -> tuple[Entry, ...]:
    return tuple(
        Entry(f"api/{found.slug}", found.title, found.description, f"docs/api/{found.slug}.md")
        for found in rest.resources()
    )


def _decisions() -> tuple[Entry, ...]:
    return tuple(_decision(path) for path in sorted(DECISIONS.glob("*.md")))


def _decision(path: Path) -> Entry:
    heading = NUMBER.search(path.read_text(encoding="utf-8"))
    title = heading["title"] if heading else path.stem
    return Entry(f"decisions/{path.stem}", title, f"Decision {path.stem[:4]}.", f"docs/decisions/{path.name}")
