"""Nobody gets to another account's objects, over any route there is.

What is tried comes from the URL configuration, so a route that is added later fails here until route_cases.py
says what it leads to.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from core.api.views import WaitingView
from execs import talk
from jobs.api import access
from tests.accounts.factories import client_of, user
from tests.dashboard.route_cases import CASES, PUBLIC, STAFF
from tests.dashboard.routes import UNSAFE, Kind, Route, routes
from workspaces.api import views as workspace_views

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis", "nothing_waits")]

V2 = "api/v2/"  # has the routes of v1; a test says so
ALL = [route for route in routes(Kind.PAGE, Kind.API) if not route.pattern.startswith(V2)]
WITH_PARAMETERS = [route for route in ALL if route.parameters and route.pattern not in PUBLIC]
WITHOUT_PARAMETERS = [route for route in ALL if not route.parameters]
PRIVATE = [route for route in WITHOUT_PARAMETERS if route.pattern not in PUBLIC]
ADMIN = [route for route in routes(Kind.ADMIN) if route.pattern not in ("admin/login/", "admin/logout/")]


@pytest.fixture
def nothing_waits(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hosts would have to say is answered at once."""
    settings.WAIT_LIMIT_S = 0
    settings.S3_ENDPOINT = "http://127.0.0.1:9"  # an object store that is away
    settings.S3_ACCESS_KEY = settings.S3_SECRET_KEY = "x"
    settings.SSH_SECRET = "x" * 40
    settings.TICKET_KEY = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    monkeypatch.setattr(access, "WAIT_S", 0.0)
    monkeypatch.setattr(access, "REVOKE_S", 0.0)
    monkeypatch.setattr(talk, "AGAIN_S", 0.1)
    monkeypatch.setattr(workspace_views, "DIFF_WAIT_S", 0.0)


def test_every_route_with_a_parameter_has_a_case() -> None:
    missing = sorted({route.pattern for route in WITH_PARAMETERS} - CASES.keys())
    assert not missing, (
        f"{missing} have no case: nobody knows whether strangers are kept out. Add to CASES in"
        " tests/dashboard/route_cases.py a line `pattern: Case(make)`, where `make` makes such an object for"
        " an account and returns the route's parameters; or to PUBLIC, saying why anybody may read it."
    )


def test_every_case_has_a_route() -> None:
    known = {route.pattern for route in ALL}
    assert not (CASES.keys() | PUBLIC.keys() | STAFF) - known


def test_both_versions_of_the_api_have_the_same_routes() -> None:
    first, second = (
        {route.pattern.removeprefix(prefix) for route in routes(Kind.API) if route.pattern.startswith(prefix)}
        for prefix in ("api/v1/", V2)
    )
    assert first == second != set()


def _cases() -> Iterator[Any]:
    for route in WITH_PARAMETERS:
        if route.pattern in CASES:
            # What waits for hosts looks at tokens on another thread, which sees only what is committed.
            waits = isinstance(getattr(route.view, "cls", None), type) and issubclass(
                route.view.cls, WaitingView
            )
            yield pytest.param(
                route, marks=[pytest.mark.django_db(transaction=True)] if waits else [], id=str(route)
            )


@pytest.mark.parametrize("route", list(_cases()))
def test_strangers_find_nothing(route: Route) -> None:
    case = CASES[route.pattern]
    owner, stranger = user(is_staff=case.is_for_staff), user()
    theirs, own = case.make(owner), case.make(stranger)
    path = route.path(theirs)
    clients = {person.pk: _client(route, person) for person in (owner, stranger)}
    methods = route.methods(clients[owner.pk], path)
    assert methods, "it answers to no method"
    for method in methods:
        body = case.bodies.get(method, {})
        for values, absent in _mixed(theirs, own):
            answer = _ask(clients[stranger.pk], method, route.path(values), body)
            assert answer.status_code == 404, f"{method} {route.path(values)} by a stranger"
            nothing = _ask(clients[stranger.pk], method, route.path(absent), body)
            assert nothing.status_code == 404, f"{method} of what does not exist: {nothing.content!r}"
            assert _words(answer, values) == _words(nothing, absent), "it says that there is something"
        anonymous = _ask(Client(), method, path, body)
        assert _is_refused(route, anonymous), f"{method} by nobody: {anonymous.status_code}"
    # The last, because it may remove what there is; and the proof that what was refused would have worked.
    for method in sorted(methods, key="DELETE".__eq__):
        answer = _ask(clients[owner.pk], method, path, case.bodies.get(method, {}))
        wanted = case.answers.get(method)
        is_let_in = answer.status_code == wanted if wanted else answer.status_code < 400
        assert is_let_in, f"{method} by the owner: {answer.status_code} {answer.content[:500]!r}"


@pytest.mark.parametrize("route", PRIVATE, ids=str)
def test_pages_and_lists_are_for_people_who_signed_in(route: Route) -> None:
    for method in route.methods(_client(route, user()), route.path()):
        answer = _ask(Client(), method, route.path(), {})
        assert _is_refused(route, answer), (
            f"{method} /{route.pattern} answers {answer.status_code} to people who have not signed in. If"
            " that is right, add it to PUBLIC in tests/dashboard/route_cases.py with the reason."
        )


@pytest.mark.parametrize("pattern", sorted(STAFF))
def test_pages_of_staff_are_not_there_for_others(pattern: str) -> None:
    (route,) = [route for route in PRIVATE if route.pattern == pattern]
    client, staff = _client(route, user()), _client(route, user(is_staff=True))
    for method in route.methods(staff, route.path()):
        assert _ask(client, method, route.path(), {}).status_code == 404
        assert _ask(staff, method, route.path(), {}).status_code < 400


def test_what_is_below_the_hosts_is_of_staff() -> None:
    below = [route for route in ALL if route.pattern.startswith("hosts/")]
    assert {route.pattern for route in below if not route.parameters} == STAFF
    assert all(CASES[route.pattern].is_for_staff for route in below if route.parameters)


def test_the_administration_is_for_staff() -> None:
    clients = Client(), _client(ADMIN[0], user())
    for route, client in itertools.product(ADMIN, clients):
        answer = client.get(route.path())
        assert answer.status_code == 302, f"/{route.pattern}: {answer.status_code}"
        assert answer["Location"].startswith("/admin/login/"), route.pattern


def _client(route: Route, person: User) -> Client:
    """Pages by session; the API by token, which needs no CSRF token (test_page_security.py looks at that)."""
    if route.kind is Kind.API:
        return client_of(person)
    client = Client()
    client.force_login(person)
    return client


def _ask(client: Client, method: str, path: str, body: Any) -> HttpResponse:
    options: dict[str, Any] = {}
    if method in UNSAFE:
        options["data"] = body
        if path.startswith("/api/") or method != "POST":
            options["content_type"] = "application/json"
    answer: HttpResponse = getattr(client, method.lower())(path, **options)
    if answer.streaming:
        answer.close()
    return answer


def _is_refused(route: Route, answer: HttpResponse) -> bool:
    if route.kind is Kind.API:
        return answer.status_code == 401
    is_sent_away = answer.status_code == 302 and answer["Location"].startswith(django_settings.LOGIN_URL)
    return is_sent_away or answer.status_code == 401


def _other(value: str) -> str:
    if value.isdecimal():
        return str(2**31 - 1)
    if re.fullmatch(r"[0-9a-f-]{32,36}", value):
        return re.sub(r"[0-9a-f]", "0", value)
    return "nothing-of-that-name"


def _mixed(theirs: dict[str, str], own: dict[str, str]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Every choice of parameters of which at least one is another's, as one's own job with their exec;
    and the same with values that lead to nothing in their place."""
    for choice in itertools.product((True, False), repeat=len(theirs)):
        taken = [name for name, is_theirs in zip(theirs, choice, strict=True) if is_theirs]
        if taken:
            yield (
                own | {name: theirs[name] for name in taken},
                own | {name: _other(theirs[name]) for name in taken},
            )


def _words(answer: HttpResponse, values: dict[str, str]) -> str:
    """What it says, without what differs from request to request."""
    text = answer.content.decode()
    for value in filter(None, (answer.headers.get("X-Request-Id", ""), *values.values())):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", text)
    return re.sub(r'(name="csrfmiddlewaretoken" value=")[^"]*', r"\1", text)
