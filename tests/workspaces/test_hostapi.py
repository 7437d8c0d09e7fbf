"""What a host may ask and say about its sandboxes' data (docs/reference/host-api.md)."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_hold
from tests.workspaces.factories import Agent, Snapshot, request, saved, snapshot, user
from tests.workspaces.factories import sandbox as running
from workspaces import keys, objectstore
from workspaces.models import Version, Workspace
from workspaces.services import workspace_release

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket", "redis")]


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def sandbox(agent: Agent, owner: User) -> Sandbox:
    return running(agent, owner)


def post(agent: Agent, sandbox: Sandbox, path: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    said = {"boot_epoch": agent.boot_epoch, "sandbox_id": sandbox.pk, "epoch": sandbox.epoch}
    return agent.call("post", path, said | fields)


def sign(agent: Agent, sandbox: Sandbox, **fields: Any) -> tuple[int, dict[str, Any]]:
    return post(agent, sandbox, "/objects", **fields)


def upload(agent: Agent, sandbox: Sandbox, made: Snapshot) -> None:
    """As a host does: ask for addresses, put there."""
    wanted = [[name, len(body)] for name, body in made.objects.items()]
    status, answer = sign(agent, sandbox, put=wanted)
    assert (status, answer["expires_s"], answer["get"]) == (200, 900, {})
    assert set(answer["put"]) == set(made.objects)
    for name, signed in answer["put"].items():
        assert request("PUT", signed["url"], made.objects[name], signed["headers"])[0] in {200, 412}


def publish(
    agent: Agent, sandbox: Sandbox, made: Snapshot, parent: str | None = None, **fields: Any
) -> tuple[int, dict[str, Any]]:
    said = {
        "manifest": made.sha256, "parent": parent, "reason": "sync", "sync": 0, "made_at": 1_763_881_200_000,
        "tree_bytes": 77,
    }  # fmt: skip
    return post(agent, sandbox, "/versions", **said | fields)


def test_a_snapshot_is_put_and_published(agent: Agent, sandbox: Sandbox) -> None:
    made = snapshot()
    upload(agent, sandbox, made)
    status, receipt = publish(agent, sandbox, made)
    version = Version.objects.get()
    assert version.durable_at is not None
    assert (status, receipt) == (
        200,
        {
            "version": 1, "manifest": made.sha256, "sha256": made.sha256, "bytes": version.stored_bytes,
            "durable_at": round(version.durable_at.timestamp() * 1000),
            "full_next": "no",
        },
    )  # fmt: skip
    assert (version.tree_bytes, version.made_at.timestamp()) == (77, 1_763_881_200)
    assert publish(agent, sandbox, made) == (200, receipt)
    upload(agent, sandbox, made)  # a host that goes on after a kill puts what is there already
    later = snapshot(parent=made.sha256)
    upload(agent, sandbox, later)
    assert publish(agent, sandbox, later, made.sha256)[1]["version"] == 2


def test_objects_are_read_back(agent: Agent, sandbox: Sandbox) -> None:
    made = snapshot()
    upload(agent, sandbox, made)
    publish(agent, sandbox, made)
    _, answer = sign(agent, sandbox, get=list(made.objects))
    for name, url in answer["get"].items():
        assert request("GET", url) == (200, made.objects[name])


def test_somebody_elses_objects_are_not(agent: Agent, sandbox: Sandbox) -> None:
    [theirs] = saved(user(), "theirs")
    _, answer = sign(agent, sandbox, get=[theirs.manifest])
    assert request("GET", answer["get"][theirs.manifest])[0] == 404


def test_images_are_for_everybody(agent: Agent, sandbox: Sandbox) -> None:
    made = snapshot()
    objectstore.put_new(keys.object_key(keys.IMAGES, made.sha256), made.manifest)
    _, answer = sign(agent, sandbox, get=[made.sha256])
    assert request("GET", answer["get"][made.sha256]) == (200, made.manifest)


def test_what_is_missing_is_named(agent: Agent, sandbox: Sandbox) -> None:
    made = snapshot()
    status, body = publish(agent, sandbox, made)
    assert (status, body["code"], body["missing"], body["retryable"]) == (
        409, "missing_objects", [made.sha256], True,
    )  # fmt: skip


def test_a_moved_head_and_a_wrong_manifest_are_said(agent: Agent, sandbox: Sandbox) -> None:
    made, wrong = snapshot(), snapshot(format=7)
    for each in (made, wrong):
        upload(agent, sandbox, each)
    assert publish(agent, sandbox, made, "0" * 64)[1]["code"] == "head_moved"
    status, body = publish(agent, sandbox, wrong)
    assert (status, body["code"]) == (400, "bad_manifest")


def stale(answer: tuple[int, dict[str, Any]]) -> bool:
    return (answer[0], answer[1]["code"]) == (409, "stale_lease")


def test_only_the_sandbox_that_holds_it_may(agent: Agent, owner: User, sandbox: Sandbox) -> None:
    made = snapshot()
    upload(agent, sandbox, made)
    wanted = {"put": [["0" * 64, 1]]}
    other_host = Agent()
    assert stale(publish(other_host, sandbox, made))
    assert stale(sign(other_host, sandbox, get=["0" * 64]))
    for change in ({"epoch": sandbox.epoch + 1}, {"sandbox_id": "z" * 16}):
        assert stale(publish(agent, sandbox, made, **change))
        assert stale(sign(agent, sandbox, **wanted, **change))
    based = running(agent, owner, name=None)  # stands on a base: reads, writes nothing
    assert sign(agent, based, get=["0" * 64])[0] == 200
    assert stale(sign(agent, based, **wanted))
    assert stale(publish(agent, based, made))
    workspace_release(sandbox_hold(sandbox))
    assert stale(sign(agent, sandbox, **wanted))
    assert stale(publish(agent, sandbox, made))
    Workspace.objects.update(holder=sandbox.pk)
    Sandbox.objects.filter(pk=sandbox.pk).update(state="ended", ended_at=timezone.now())
    assert stale(sign(agent, sandbox, get=["0" * 64]))
    assert stale(publish(agent, sandbox, made))
    assert not Version.objects.exists()


def test_an_older_life_of_the_agent_publishes_nothing(agent: Agent, sandbox: Sandbox) -> None:
    made = snapshot()
    upload(agent, sandbox, made)
    agent.boot(sandboxes=[sandbox])
    for call in (publish(agent, sandbox, made, boot_epoch=1), sign(agent, sandbox, boot_epoch=1)):
        assert (call[0], call[1]["code"]) == (409, "stale_boot")
    assert publish(agent, sandbox, made)[0] == 200


def test_a_boot_while_the_commit_is_under_way(
    agent: Agent, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = snapshot()
    upload(agent, sandbox, made)
    real, epoch = objectstore.get, agent.boot_epoch

    def boot_then_get(key: str, limit_bytes: int) -> bytes | None:
        agent.boot()
        return real(key, limit_bytes)

    monkeypatch.setattr(objectstore, "get", boot_then_get)
    status, body = publish(agent, sandbox, made, boot_epoch=epoch)
    assert (status, body["code"]) == (409, "stale_boot")
    assert not Version.objects.exists()


def test_a_wished_sync_is_answered_by_its_number(agent: Agent, sandbox: Sandbox) -> None:
    Sandbox.objects.filter(pk=sandbox.pk).update(sync_wished=3)
    made = snapshot()
    upload(agent, sandbox, made)
    for number, done in ((4, 0), (2, 2), (1, 2), (3, 3)):  # never above what was asked, never back
        assert publish(agent, sandbox, made, sync=number)[0] == 200
        sandbox.refresh_from_db()
        assert sandbox.sync_done == done, number


@pytest.mark.parametrize(
    "change",
    [
        {"manifest": "x"},
        {"manifest": "A" * 64},
        {"manifest": "a" * 64 + "\n"},
        {"parent": ""},
        {"reason": "restore"},
        {"reason": "because"},
        {"made_at": -1},
        {"made_at": 10**18},
        {"tree_bytes": -1},
        {"tree_bytes": 2**60},
        {"sync": -1},
        {"epoch": 0},
        {"sandbox_id": "../../etc/passwd"},
        {"boot_epoch": "1"},
    ],
)
def test_a_wrong_publication_is_refused(agent: Agent, sandbox: Sandbox, change: dict[str, Any]) -> None:
    status, body = publish(agent, sandbox, snapshot(), **change)
    assert (status, body["code"]) == (400, "invalid"), body


@pytest.mark.parametrize(
    "change",
    [
        {"get": ["../" + "a" * 61]},
        {"get": ["a" * 64 + "\n"]},
        {"get": "a" * 64},
        {"get": ["a" * 64] * 1001},
        {"put": [["a" * 64, 0]]},
        {"put": [["a" * 64, 16 * 1024 * 1024 + 1]]},
        {"put": [["a" * 64]]},
        {"put": ["a" * 64]},
        {"put": [["a" * 64, 1]] * 1001},
    ],
)
def test_a_wrong_wish_for_addresses_is_refused(
    agent: Agent, sandbox: Sandbox, change: dict[str, Any]
) -> None:
    status, body = sign(agent, sandbox, **change)
    assert (status, body["code"]) == (400, "invalid"), body


def test_the_store_is_away(agent: Agent, sandbox: Sandbox, settings: Any) -> None:
    made = snapshot()
    upload(agent, sandbox, made)
    real, settings.S3_ENDPOINT = settings.S3_ENDPOINT, "http://127.0.0.1:9"
    status, body = publish(agent, sandbox, made)
    assert (status, body["code"], body["retryable"]) == (503, "object_store_unavailable", True)
    settings.S3_ENDPOINT = real
    assert publish(agent, sandbox, made)[0] == 200


def test_a_host_needs_its_key(sandbox: Sandbox) -> None:
    stranger = Agent(boot=False)
    stranger.client.defaults["HTTP_AUTHORIZATION"] = "Bearer magshost_wrong"
    assert stranger.call("post", "/objects", {})[0] == 401
    assert stranger.call("post", "/versions", {})[0] == 401
