"""Every error of every address has the one shape."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import IntegrityError, OperationalError
from django.http import Http404
from django.test import Client, RequestFactory, override_settings
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework import exceptions as drf
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.handler import as_mags_error
from core.errors import Invalid
from tests.accounts import factories
from tests.shape import assert_error

SAMPLES = {"int": "999999", "uuid": "00000000-0000-4000-8000-000000000000"}
METHODS = ("get", "post", "put", "patch", "delete")
OPEN = ("/api/schema/", "/api/docs/")  # documents, for everybody


def addresses(patterns: Any, prefix: str = "/") -> Iterator[str]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield re.sub(r"<(?:(\w+):)?\w+>", lambda found: SAMPLES.get(found[1], "nothing"), path)


def api_addresses() -> list[str]:
    found = [path for path in addresses(get_resolver().url_patterns) if path.startswith("/api/")]
    assert "/api/v1/auth/me" in found
    assert "/api/host/v1/heartbeat" in found
    return [path for path in found if path not in OPEN]


def send(client: Client, method: str, path: str, body: str = "{}", kind: str = "application/json") -> Any:
    return getattr(client, method)(path, body, content_type=kind) if method != "get" else client.get(path)


BODIES = (
    ("{", "application/json"),
    ("[1]", "application/json"),
    ("a=b", "application/x-www-form-urlencoded"),
    ("hi", "text/plain"),
    ('{"a": "\\u0000"}', "application/json"),
    ('{"a": NaN}', "application/json"),
)


@contextmanager
def judged(wrong: list[str], *case: str) -> Iterator[None]:
    """A case among many in one test, which are too many for a test each. Notes it down when it fails."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the other cases are tried too
        wrong.append(f"{' '.join(case)}: {type(error).__name__}: {error}")


def assert_shape_of_errors(answer: Any) -> None:
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert_error(answer, answer.status_code)


@pytest.mark.django_db
def test_without_credentials_every_route_refuses_in_shape() -> None:
    wrong: list[str] = []
    for path, method in itertools.product(api_addresses(), METHODS):
        with judged(wrong, method, path):
            answer = send(Client(), method, path)
            assert answer.status_code in (400, 401, 405)  # 400, 405: enrolment is open to all
            assert_error(answer, answer.status_code)
    assert wrong == []


@pytest.mark.django_db
def test_with_a_token_every_error_is_in_shape() -> None:
    wrong: list[str] = []
    for path, method in itertools.product(api_addresses(), METHODS):
        with judged(wrong, method, path):
            assert_shape_of_errors(send(factories.client_of(factories.user()), method, path))
    assert wrong == []


@pytest.mark.django_db
def test_bad_bodies_are_refused_in_shape_everywhere() -> None:
    wrong: list[str] = []
    for path, (body, kind) in itertools.product(api_addresses(), BODIES):
        with judged(wrong, path, body, kind):
            # Routes without a body do not read it; routes of hosts refuse the caller first.
            assert_shape_of_errors(send(factories.client_of(factories.user()), "post", path, body, kind))
    assert wrong == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nothing", "/api/v3/auth/me", "/api/v1/auth/me/"]
)
def test_unknown_addresses_are_404_in_shape(path: str) -> None:
    assert_error(Client().get(path), 404, "not_found")


@pytest.mark.django_db
def test_wrong_method_names_the_right_ones() -> None:
    answer = factories.client_of(factories.user()).put(
        "/api/v1/auth/me", "{}", content_type="application/json"
    )
    assert_error(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.django_db
def test_unacceptable_is_406() -> None:
    client = factories.client_of(factories.user())
    assert_error(client.get("/api/v1/auth/me", headers={"Accept": "text/html"}), 406, "not_acceptable")


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [False, True])
def test_what_nobody_expected_is_500_in_shape_and_logged(
    debug: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("accounts.api.views.token_list", broken)
    with override_settings(DEBUG=debug):
        answer = factories.client_of(factories.user()).get("/api/v1/auth/tokens")
    assert_error(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "status", "code", "retryable"),
    [
        (OperationalError("database is locked"), 503, "unavailable", True),
        (Http404("x"), 404, "not_found", False),
        (PermissionDenied(), 403, "forbidden", False),
        (SuspiciousOperation("x"), 400, "invalid", False),
        (RequestDataTooBig("x"), 413, "too_large", False),
        (drf.Throttled(wait=3.2), 429, "throttled", True),
        (IntegrityError("x"), 500, "internal", False),
    ],
)
def test_known_failures_of_views(
    error: Exception, status: int, code: str, retryable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr("accounts.api.views.token_list", broken)
    answer = factories.client_of(factories.user()).get("/api/v1/auth/tokens")
    assert assert_error(answer, status, code)["retryable"] is retryable
    assert ("Retry-After" in answer.headers) is (status in (429, 503))


def test_nested_validation_errors_name_their_fields() -> None:
    error = drf.ValidationError({"a": {"b": ["x", "y"]}, "list": [{"c": ["z"]}], "non_field_errors": ["w"]})
    known = as_mags_error(error)
    assert isinstance(known, Invalid)
    assert known.fields == {"a.b": "x y", "list[0].c": "z", "": "w"}
    assert known.message == "a.b: x y; list[0].c: z; w"


def test_other_errors_of_the_framework_keep_their_status() -> None:
    class Teapot(drf.APIException):
        status_code = 418
        default_code = "teapot"

    class View(APIView):
        authentication_classes = permission_classes = throttle_classes = ()

        def get(self, request: Request) -> Response:
            raise Teapot("short and stout")

    answer = View.as_view()(RequestFactory().get("/"))
    assert (answer.status_code, answer.data["code"], answer.data["error"]) == (
        418,
        "teapot",
        "short and stout",
    )


@pytest.mark.django_db
def test_pages_answer_people_in_html() -> None:
    answer = Client().get("/nothing-here")
    assert answer.status_code == 404
    assert "text/html" in answer.headers["Content-Type"]
    assert answer.headers["X-Request-Id"] in answer.text


@pytest.mark.django_db
def test_failing_page_answers_without_a_request_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    from core import health

    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(health, "_check_database", broken)
    answer = Client(raise_request_exception=False).get("/readyz")
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.mark.django_db
@pytest.mark.parametrize(
    "offered", ["", "x", "a b c d e f", "x" * 65, "abc\tdefgh", "<script>alert(1)</script>"]
)
def test_silly_request_id_is_replaced(offered: str) -> None:
    given = Client().get("/healthz", headers={"X-Request-Id": offered}).headers["X-Request-Id"]
    assert given != offered
    assert len(given) == 16


def test_sane_request_id_is_kept() -> None:
    assert (
        Client().get("/healthz", headers={"X-Request-Id": "ci-run-12345"}).headers["X-Request-Id"]
        == "ci-run-12345"
    )
