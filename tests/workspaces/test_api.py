"""The public API of workspaces: each call works, is closed to strangers, and says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from tests.jobs.factories import API, client_of, user
from tests.shape import assert_error
from tests.workspaces.factories import Agent, hold_on, saved
from workspaces import hooks
from workspaces.models import Version, Workspace
from workspaces.selectors import workspace_get
from workspaces.services import version_damage, workspace_create, workspace_place, workspace_release

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket", "redis")]
KEYS = {
    "id", "workspace_id", "name", "size_bytes", "stored_bytes", "version", "versions", "durable_at",
    "disk_gb", "image", "is_saved", "damaged", "host", "active_job", "created_at", "used_at",
}  # fmt: skip
BASE = f"{API}/mags-workspaces"


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def client(owner: User) -> Client:
    return client_of(owner)


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(f"{BASE}/{path}", data=body, content_type="application/json")


def patch(client: Client, path: str, body: Any) -> Any:
    return client.patch(f"{BASE}/{path}", data=body, content_type="application/json")


def test_a_workspace_as_it_is_shown(client: Client, owner: User) -> None:
    versions = saved(owner, versions=2)
    agent = Agent(boot=False)
    hold = hold_on(owner)
    workspace_place(hold, agent.host)
    body = client.get(f"{BASE}/w").json()
    assert set(body) == KEYS
    expected = {
        "workspace_id": "w", "name": "w", "size_bytes": 1234, "version": 2, "versions": 2, "disk_gb": 2,
        "image": "standard", "is_saved": True, "damaged": None, "host": agent.host.name, "active_job": None,
        "stored_bytes": sum(version.stored_bytes for version in versions),
    }  # fmt: skip
    assert {name: body[name] for name in expected} == expected
    assert body["durable_at"][:19] == f"{versions[1].durable_at:%Y-%m-%dT%H:%M:%S}"
    assert client.get("/api/v2/mags-workspaces/w").json() == body


def test_one_without_versions(client: Client, owner: User) -> None:
    workspace_create(owner, "empty", disk_gb=3)
    body = client.get(f"{BASE}/empty").json()
    shown = ("size_bytes", "stored_bytes", "version", "versions", "durable_at", "is_saved")
    assert [body[name] for name in shown] == [None, 0, None, 0, None, False]


def test_the_list_is_ones_own_newest_first(client: Client, owner: User) -> None:
    for name in ("a", "b", "c"):
        workspace_create(owner, name, disk_gb=2)
    workspace_create(user(), "d", disk_gb=2)
    body = client.get(f"{BASE}?page_size=2").json()
    assert [w["name"] for w in body["workspaces"]] == ["c", "b"]
    assert (body["total"], body["page"], body["page_size"]) == (3, 1, 2)


def test_a_list_costs_the_same_however_long(
    client: Client, owner: User, django_assert_num_queries: Any
) -> None:
    workspace_create(owner, "a", disk_gb=2)
    client.get(BASE)  # notes the token's use
    with django_assert_num_queries(4):  # token, page, total, who uses them
        client.get(BASE)
    for name in ("b", "c", "d"):
        workspace_create(owner, name, disk_gb=2)
    with django_assert_num_queries(4):
        client.get(BASE)


def test_who_uses_it_is_told_by_the_layer_above(
    client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = workspace_create(owner, "a", disk_gb=2)
    workspace_create(owner, "b", disk_gb=2)
    monkeypatch.setattr(hooks, "_active_jobs", hooks._active_jobs)
    hooks.register_active_jobs(lambda ids: {pk: "job-1" for pk in ids if pk == used.pk})
    found = {w["name"]: w["active_job"] for w in client.get(BASE).json()["workspaces"]}
    assert found == {"a": "job-1", "b": None}


def test_versions(client: Client, owner: User) -> None:
    saved(owner, versions=3)
    Version.objects.filter(number=1).update(expired_at=timezone.now())
    body = client.get(f"{BASE}/w/versions").json()
    assert body["total"] == 2
    assert [(v["version"], v["is_head"], v["reason"]) for v in body["versions"]] == [
        (3, True, "sync"),
        (2, False, "sync"),
    ]
    assert set(body["versions"][0]) == {
        "version", "sha256", "is_head", "reason", "size_bytes", "stored_bytes", "made_at", "durable_at",
        "is_damaged",
    }  # fmt: skip


def test_restore(client: Client, owner: User) -> None:
    one, _ = saved(owner, versions=2)
    response = post(client, "w/restore", {"version": 1})
    assert response.status_code == 200
    body = response.json()
    assert (body["version"], body["sha256"], body["is_head"], body["reason"]) == (
        3, one.manifest, True, "restore",
    )  # fmt: skip
    assert client.get(f"{BASE}/w").json()["version"] == 3
    assert_error(post(client, "w/restore", {"version": 9}), 404, "version_not_found")
    for wrong in ({}, {"version": 0}, {"version": "x"}, {"version": 2**40}, {"version": None}):
        assert list(assert_error(post(client, "w/restore", wrong), 400)["fields"]) == ["version"]
    hold_on(owner)
    body = assert_error(post(client, "w/restore", {"version": 1}), 409, "workspace_in_use")
    assert "already in use" in body["error"]


def test_restore_of_damaged_data(client: Client, owner: User) -> None:
    one, two, _ = saved(owner, versions=3)
    version_damage(two, "A segment is missing.")
    listed = client.get(f"{BASE}/w/versions").json()["versions"]
    assert [(v["version"], v["is_damaged"]) for v in listed] == [(3, True), (2, True), (1, False)]
    damaged = client.get(f"{BASE}/w").json()["damaged"]
    assert (damaged["message"], damaged["last_good_version"]) == ("A segment is missing.", 1)
    assert_error(post(client, "w/restore", {"version": 2}), 409, "version_damaged")
    assert post(client, "w/restore", {"version": 1}).status_code == 200
    assert client.get(f"{BASE}/w").json()["damaged"] is None
    assert one.number == 1


def test_fork(client: Client, owner: User) -> None:
    saved(owner, versions=2)
    response = post(client, "w/fork", {"name": "f"})
    assert response.status_code == 201
    body = response.json()
    assert (body["name"], body["version"], body["versions"], body["stored_bytes"]) == ("f", 1, 1, 0)
    assert post(client, "w/fork", {"name": "g", "version": 1}).status_code == 201
    assert_error(post(client, "w/fork", {"name": "f"}), 409, "workspace_name_taken")
    assert_error(post(client, "w/fork", {"name": "h", "version": 5}), 404, "version_not_found")
    for wrong in ({}, {"name": "-x"}, {"name": "a/b"}, {"name": 5}, {"name": "a\n"}, {"name": "x" * 64}):
        assert list(assert_error(post(client, "w/fork", wrong), 400)["fields"]) == ["name"]
    workspace_create(owner, "empty", disk_gb=2)
    assert_error(post(client, "empty/fork", {"name": "h"}), 409, "workspace_not_saved")
    assert Workspace.objects.count() == 4


def test_resize(client: Client, owner: User) -> None:
    workspace_create(owner, "w", disk_gb=2)
    assert patch(client, "w", {"disk_gb": 20}).json()["disk_gb"] == 20
    for wrong in ({}, {"disk_gb": 0}, {"disk_gb": 1001}, {"disk_gb": "much"}, {"disk_gb": None}):
        assert list(assert_error(patch(client, "w", wrong), 400)["fields"]) == ["disk_gb"]
    assert workspace_get(owner, "w").disk_gb == 20


def test_delete(client: Client, owner: User) -> None:
    saved(owner)
    hold = hold_on(owner)
    assert "already in use" in assert_error(client.delete(f"{BASE}/w"), 409, "workspace_in_use")["error"]
    workspace_release(hold)
    response = client.delete(f"{BASE}/w")
    assert (response.status_code, response.content) == (204, b"")
    assert_error(client.delete(f"{BASE}/w"), 404, "workspace_not_found")
    assert client.get(BASE).json()["total"] == 0


def test_a_stranger_sees_and_changes_nothing(client: Client, owner: User) -> None:
    saved(owner, versions=2)
    stranger = client_of(user())
    answers = [
        stranger.get(f"{BASE}/w"),
        stranger.get(f"{BASE}/w/versions"),
        stranger.delete(f"{BASE}/w"),
        patch(stranger, "w", {"disk_gb": 3}),
        post(stranger, "w/restore", {"version": 1}),
        post(stranger, "w/fork", {"name": "f"}),
    ]
    never_was = stranger.get(f"{BASE}/nothing").json() | {"request_id": ""}
    for answer in answers:
        assert assert_error(answer, 404) | {"request_id": ""} == never_was
        assert assert_error(Client().get(f"{BASE}/w"), 401)
    assert client.get(f"{BASE}/w").json()["version"] == 2
    assert Workspace.objects.count() == 1


def test_the_store_is_away(client: Client, owner: User, settings: Any) -> None:
    saved(owner, versions=2)
    settings.S3_ENDPOINT = "http://127.0.0.1:9"
    body = assert_error(post(client, "w/fork", {"name": "f"}), 503, "object_store_unavailable")
    assert body["retryable"]


def test_the_same_key_restores_and_forks_once(client: Client, owner: User) -> None:
    saved(owner, versions=2)
    key = {"headers": {"Idempotency-Key": "k"}, "content_type": "application/json"}
    one, two = (client.post(f"{BASE}/w/restore", {"version": 1}, **key) for _ in range(2))
    assert (one.status_code, one.json()) == (two.status_code, two.json())
    assert one.json()["durable_at"] is not None
    assert Version.objects.count() == 3
    assert_error(client.post(f"{BASE}/w/restore", {"version": 2}, **key), 409, "idempotency_key_reused")
    key["headers"] = {"Idempotency-Key": "another"}
    one, two = (client.post(f"{BASE}/w/fork", {"name": "f"}, **key) for _ in range(2))
    assert (one.status_code, one.json()) == (two.status_code, two.json()) == (201, one.json())
    assert_error(post(client, "w/fork", {"name": "f"}), 409, "workspace_name_taken")
