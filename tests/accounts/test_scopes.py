"""What tokens may be used for, and in which workspace."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from accounts.api.permissions import TokenHasScope
from accounts.models import User
from accounts.services import token_create
from aliases.services import alias_create
from jobs.models import Job
from tests.jobs import factories
from tests.jobs.factories import API, submit
from tests.shape import assert_error

pytestmark = pytest.mark.django_db
TOKENS = f"{API}/auth/tokens"
JSON = "application/json"
FOREIGN = "00000000-0000-4000-8000-000000000000"


def client_of(owner: User, *scopes: str, workspace: str = "") -> Client:
    _, text = token_create(owner, "test", scopes=scopes or ["run"], workspace_name=workspace)
    return Client(headers={"Authorization": f"Bearer {text}"})


@pytest.fixture
def owner() -> User:
    return factories.user()


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        (["read"], ["read"]),
        (["run"], ["read", "run"]),
        (["admin"], ["read", "run", "admin"]),
        (["admin", "read"], ["read", "run", "admin"]),
        (None, ["read", "run"]),
    ],
)
def test_a_scope_holds_the_ones_before_it(owner: User, asked: list[str] | None, has: list[str]) -> None:
    body = {"name": "ci"} | ({"scopes": asked} if asked else {})
    made = client_of(owner, "admin").post(TOKENS, body, content_type=JSON).json()
    assert (made["scopes"], made["workspace"]) == (has, None)


@pytest.mark.parametrize(
    "body",
    [{"scopes": []}, {"scopes": ["root"]}, {"scopes": "run"}, {"workspace": "../x"}, {"workspace": "a b"}],
)
def test_bad_scopes_make_no_token(owner: User, body: dict[str, Any]) -> None:
    refused = client_of(owner, "admin").post(TOKENS, {"name": "x", **body}, content_type=JSON)
    assert_error(refused, 400, "invalid")
    assert owner.api_tokens.count() == 1


def test_a_token_to_read_changes_nothing(owner: User) -> None:
    """Whatever there is in the API: every unsafe method of every view wants more, but to revoke oneself."""
    job = factories.job(owner)
    reader = client_of(owner, "read")
    assert reader.get(f"{API}/mags-jobs/{job.pk}").status_code == 200
    tried = 0
    for path, view in _views(get_resolver().url_patterns):
        if not path.startswith("api/v1/") or not view.authentication_classes:
            continue
        assert TokenHasScope in view.permission_classes, path
        address = "/" + path.replace("<int:token_id>", "999")
        for name in ("job", "exec_id", "name", "subdomain", "file_id"):
            address = address.replace(f"<str:{name}>", str(job.pk))
        for method in {"post", "put", "patch", "delete"} & set(dir(view)):
            answer = getattr(reader, method)(address, {"port": 22}, content_type=JSON)
            assert_error(answer, 403, "missing_scope")
            tried += 1
    assert tried > 15
    assert Job.objects.get().stop_requested_at is None


def test_a_token_to_run_lists_makes_and_revokes_no_tokens(owner: User) -> None:
    runner = client_of(owner, "run")
    assert submit(runner)[0] == 202
    for look in (runner.get, runner.head):
        assert look(TOKENS).status_code == 403
    assert_error(runner.post(TOKENS, {"name": "x"}, content_type=JSON), 403, "missing_scope")
    other, _ = token_create(owner, "other")
    assert_error(runner.delete(f"{TOKENS}/{other.pk}"), 403, "missing_scope")


@pytest.mark.parametrize("scope", ["read", "run", "admin"])
def test_every_token_revokes_itself(owner: User, scope: str) -> None:
    client = client_of(owner, scope)
    mine = client.get(f"{API}/auth/me").json()["token"]
    assert mine["scopes"][-1] == scope
    assert client.delete(f"{TOKENS}/{mine['id']}").status_code == 204
    assert_error(client.get(f"{API}/auth/me"), 401, "token_revoked")


def test_a_token_for_a_workspace_sees_what_is_in_it(owner: User) -> None:
    inside = factories.job(owner, workspace="mine", is_persistent=True)
    outside = factories.job(owner, workspace="other", is_persistent=True)
    alone = factories.job(owner)
    client = client_of(owner, "run", workspace="mine")
    assert [job["request_id"] for job in client.get(f"{API}/mags-jobs").json()["jobs"]] == [str(inside.pk)]
    assert client.get(f"{API}/mags-jobs/mine").json()["request_id"] == str(inside.pk)
    for job in (outside, alone):
        for path in ("", "/status", "/logs", "/events", "/execs"):
            assert_error(client.get(f"{API}/mags-jobs/{job.pk}{path}"), 404)
        assert_error(client.post(f"{API}/mags-jobs/{job.pk}/stop"), 404)
    assert_error(client.get(f"{API}/mags-jobs/other"), 404)
    found = client.get(f"{API}/mags-workspaces").json()["workspaces"]
    assert [workspace["name"] for workspace in found] == ["mine"]
    assert_error(client.delete(f"{API}/mags-workspaces/other"), 404)
    assert client.get(f"{API}/mags-files").json()["files"] == []
    refused = client.post(f"{API}/mags-files", {"file": SimpleUploadedFile("a.txt", b"text")})
    assert "for all workspaces" in assert_error(refused, 403, "outside_workspace")["remediation"]


def test_no_route_leads_such_a_token_out_of_its_workspace(owner: User) -> None:
    """Whatever there is in the API that names something: of another workspace there is nothing."""
    outside = factories.job(owner, workspace="other", is_persistent=True)
    alias_create(owner, "of-other", "other", None)
    client = client_of(owner, "admin", workspace="mine")
    named = {"job": str(outside.pk), "name": "other", "subdomain": "of-other"}
    body = {"port": 22, "command": "true", "signal": "TERM", "disk_gb": 3, "version": 1, "name": "copy"}
    tried = 0
    for path, view in _views(get_resolver().url_patterns):
        if not path.startswith("api/v1/") or "<str:" not in path:
            continue
        address = "/" + path.replace("<str:exec_id>", FOREIGN).replace("<str:file_id>", FOREIGN)
        for field, value in named.items():
            address = address.replace(f"<str:{field}>", value)
        for method in {"get", "post", "put", "patch", "delete"} & set(dir(view)):
            answer = getattr(client, method)(address, body, content_type=JSON)
            assert answer.status_code == 404, (method, path, answer.content)
            tried += 1
    assert tried > 20


def test_submits_with_such_a_token_go_to_its_workspace(owner: User) -> None:
    factories.job(owner, workspace="other")
    client = client_of(owner, "run", workspace="mine")
    status, answer = submit(client)
    assert status == 202
    assert Job.objects.get(pk=answer["request_id"]).workspace_name == "mine"
    for field in ("workspace_id", "base_workspace_id"):
        refused = client.post(f"{API}/mags-jobs", {"script": "true", field: "other"}, content_type=JSON)
        assert field in assert_error(refused, 403, "outside_workspace")["fields"]


def test_a_key_of_a_request_is_not_shared_by_workspaces(owner: User) -> None:
    one, other, every = (client_of(owner, workspace=name) for name in ("mine", "other", ""))
    body, key = {"script": "true"}, {"Idempotency-Key": "of one commit"}
    made = [one.post(f"{API}/mags-jobs", body, content_type=JSON, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in made] == [202, 202]
    assert made[0].json() == made[1].json()
    for client in (other, every):
        refused = client.post(f"{API}/mags-jobs", body, content_type=JSON, headers=key)
        assert_error(refused, 409, "idempotency_key_reused")
    assert Job.objects.get().workspace_name == "mine"


def test_such_a_token_gives_nobody_more_than_it_has(owner: User) -> None:
    token_create(owner, "for all")
    client = client_of(owner, "admin", workspace="mine")
    wide = client.post(TOKENS, {"name": "x", "workspace": "other"}, content_type=JSON)
    assert_error(wide, 403, "outside_workspace")
    made = client.post(TOKENS, {"name": "x", "scopes": ["read"]}, content_type=JSON).json()
    assert made["workspace"] == "mine"
    assert {token["workspace"] for token in client.get(TOKENS).json()["tokens"]} == {"mine"}
    everywhere = owner.api_tokens.get(name="for all")
    assert_error(client.delete(f"{TOKENS}/{everywhere.pk}"), 404)
    factories.job(owner, workspace="mine")
    forked = client.post(f"{API}/mags-workspaces/mine/fork", {"name": "copy"}, content_type=JSON)
    assert_error(forked, 403, "outside_workspace")


def _views(patterns: list[Any], before: str = "") -> list[tuple[str, type[APIView]]]:
    found: list[tuple[str, type[APIView]]] = []
    for pattern in patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += _views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "view_class"):
            found.append((path, pattern.callback.view_class))
    return found
