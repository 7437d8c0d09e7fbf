"""What every page and route has against other sites: CSRF tokens, a strict policy, no frames, no caches."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.views import APIView

from core.asgi import API_PREFIXES
from tests.accounts.factories import browser_of, user
from tests.dashboard.route_cases import CASES, PUBLIC, WITHOUT_CSRF
from tests.dashboard.routes import UNSAFE, Kind, Route, routes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

PAGES = routes(Kind.PAGE)
API = routes(Kind.API)
# Of the administration: forms and words that say nothing about anything stored.
WITHOUT_SECRETS = {"admin/jsi18n/": "", "admin/password_change/": "", "admin/password_change/done/": ""}
ADMIN = [route for route in routes(Kind.ADMIN) if not route.parameters]
SCRIPT_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


def test_no_page_takes_anything_without_a_csrf_token() -> None:
    browser = browser_of(user(is_staff=True, is_superuser=True))
    for route in [*PAGES, *routes(Kind.ADMIN)]:
        if route.pattern in WITHOUT_CSRF:
            continue
        for method in UNSAFE:
            answer = getattr(browser, method.lower())(route.path())
            assert answer.status_code in (403, 405), (
                f"{method} /{route.pattern} without a CSRF token: {answer.status_code}. If that is right,"
                " add it to WITHOUT_CSRF in tests/dashboard/route_cases.py with the reason."
            )


def test_no_session_changes_anything_by_the_api_without_a_csrf_token() -> None:
    browser = browser_of(user())
    tried = 0
    for route in API:
        for method in set(route.methods(browser, route.path())) & set(UNSAFE) - WITHOUT_CSRF.keys():
            if route.pattern in WITHOUT_CSRF:
                continue
            answer = getattr(browser, method.lower())(route.path(), content_type="application/json")
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed"), f"{method} /{route}"
            tried += 1
    assert tried > 20


def test_with_the_token_it_is_no_matter_of_csrf() -> None:
    browser = browser_of(user())
    browser.get("/tokens/")
    headers = {"X-CSRFToken": browser.cookies["mags_csrf"].value}
    made = browser.post("/api/v1/mags-jobs", {"script": "true"}, "application/json", headers=headers)
    assert made.status_code == 202
    assert browser.post("/jobs/x/again/", headers=headers).status_code == 404


def test_what_passes_no_csrf_middleware_checks_by_itself() -> None:
    """Under ASGI nothing under these addresses does (core/asgi.py)."""
    bare = [route for route in routes(*Kind) if f"/{route.pattern}".startswith(API_PREFIXES)]
    assert bare
    for route in bare:
        made_of = getattr(route.view, "cls", None)
        assert made_of is not None, f"/{route.pattern} is not a view of the API"
        assert issubclass(made_of, APIView)


@pytest.mark.parametrize("route", [route for route in [*PAGES, *ADMIN] if not route.parameters], ids=str)
def test_every_page_is_strict(route: Route) -> None:
    _require_strict(route, _signed_in().get(route.path()))


@pytest.mark.parametrize("route", [route for route in PAGES if route.pattern in CASES], ids=str)
def test_every_page_of_an_object_is_strict(route: Route) -> None:
    owner = user(is_staff=CASES[route.pattern].is_for_staff)
    client = Client()
    client.force_login(owner)
    path = route.path(CASES[route.pattern].make(owner))
    if "GET" in route.methods(client, path):
        _require_strict(route, client.get(path))


@pytest.mark.parametrize("path", ["/nothing/", "/jobs/nothing/", "/static/nothing"])
def test_pages_of_errors_are_strict(path: str) -> None:
    _require_headers(_signed_in().get(path))


def _signed_in() -> Client:
    client = Client()
    client.force_login(user(is_staff=True, is_superuser=True))
    return client


def _require_strict(route: Route, answer: Any) -> None:
    if answer.status_code == 405:  # it is only posted to
        return
    _require_headers(answer)
    assert answer.status_code < 500
    is_shown = answer.status_code < 300  # some lead on, or want to be asked for something
    if is_shown and route.pattern not in PUBLIC | WITHOUT_SECRETS:
        assert "no-store" in answer.headers.get("Cache-Control", "")


def _require_headers(answer: Any) -> None:
    directives = dict(
        part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";")
    )
    assert directives | SCRIPT_POLICY == directives
    assert not [
        value for value in directives.values() if "unsafe" in value or "*" in value or "http" in value
    ]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
