"""The public pages. What a visitor names is looked up among the pages there are, never opened as a path."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from handbook import library
from handbook import llms as llms_text
from handbook import search as searching
from handbook.contents import Contents, Entry, contents

OVERVIEW = "overview"  # what the page without a slug is called where a name is needed
SKILL = "docs/skill.md"


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    found = contents()
    entry = found.by_slug("")
    context = {"entry": entry, "content": library.rendered(entry) if entry else None}
    return _framed(request, "handbook/overview.html", found, context)


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    found = contents()
    entry = _entry(found, slug)
    before, after = library.neighbours(found, entry)
    context = {
        "entry": entry,
        "section": found.section_of(entry),
        "content": library.rendered(entry),
        "before": before,
        "after": after,
    }
    return _framed(request, "handbook/page.html", found, context)


@require_safe
def decisions(request: HttpRequest) -> HttpResponse:
    return _framed(request, "handbook/decisions.html", contents(), {})


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    question = request.GET.get("q", "").strip()
    context = {"question": question, "hits": searching.search(question) if question else []}
    return _framed(request, "handbook/search.html", contents(), context)


@require_safe
def raw(_request: HttpRequest, slug: str) -> HttpResponse:
    return _text(library.source(_entry(contents(), "" if slug == OVERVIEW else slug)))


@require_safe
def skill(_request: HttpRequest) -> HttpResponse:
    entry = contents().by_file(SKILL)
    if entry is None:
        raise Http404
    return _text(library.source(entry))


@require_safe
def llms(_request: HttpRequest) -> HttpResponse:
    return _text(llms_text.llms_txt(contents(), settings.PUBLIC_URL), "plain")


@require_safe
def llms_full(_request: HttpRequest) -> HttpResponse:
    return _text(llms_text.llms_full_txt(contents(), settings.PUBLIC_URL), "plain")


def _entry(found: Contents, slug: str) -> Entry:
    entry = found.by_slug(slug)
    if entry is None:
        raise Http404
    return entry


def _framed(request: HttpRequest, template: str, found: Contents, context: dict[str, Any]) -> HttpResponse:
    return render(request, template, {"contents": found, **context})


def _text(text: str, kind: str = "markdown") -> HttpResponse:
    return HttpResponse(text, content_type=f"text/{kind}; charset=utf-8")
