"""Two versions compared by a host: the question, its answer, and everything that can go wrong between."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from accounts.models import User
from hosts.models import Host
from tests.jobs.factories import API, client_of, user
from tests.shape import assert_error
from tests.workspaces.factories import Agent, request, saved
from workspaces.api import views
from workspaces.models import Comparison, Version, Workspace
from workspaces.services import compare, comparisons_expire, version_damage, version_restore
from workspaces.states import ComparisonState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket", "redis")]
BASE = f"{API}/mags-workspaces"
NAMES = [b"root/new", b"odd/\xff\x1b[2J", "caf\u00e9".encode()]
TEXTS = ["root/new", "odd/\udcff\x1b[2J", "caf\u00e9"]


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def client(owner: User) -> Client:
    return client_of(owner)


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def versions(owner: User) -> list[Version]:
    return saved(owner, versions=3)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks does not wait for the host."""
    monkeypatch.setattr(views, "DIFF_WAIT_S", 0.0)


def ask(client: Client, query: str = "") -> Any:
    return client.get(f"{BASE}/w/diff{query}")


def question(agent: Agent) -> dict[str, Any]:
    """The one that the host has been asked since it last looked."""
    [asked] = agent.poll_all()["questions"]
    found: dict[str, Any] = asked
    return found


def done(
    added: Sequence[bytes] = (), changed: Sequence[bytes] = (), removed: Sequence[bytes] = (), more: int = 0
) -> dict[str, Any]:
    """An answer; `more` is how many were added besides those that are listed."""
    kinds = {"added": added, "changed": changed, "removed": removed}
    listed = {name: base64.b64encode(b"\0".join(paths)).decode() for name, paths in kinds.items()}
    totals = {"added": len(added) + more, "changed": len(changed), "removed": len(removed)}
    return {"result": "done", **listed, "totals": totals}


def failed(reason: str) -> dict[str, str]:
    return {"result": "failed", "reason": reason, "message": "\x1b[2J hostile"}


def say(agent: Agent, asked: dict[str, Any], answer: Any, **changes: Any) -> tuple[int, dict[str, Any]]:
    body = {"boot_epoch": agent.boot_epoch, "question": asked["id"], "answer": answer} | changes
    return agent.call("post", "/answers", body)


def test_a_question_and_its_answer(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    answer = ask(client)
    assert_error(answer, 503, "diff_pending")
    assert (answer["Retry-After"], answer.json()["retryable"]) == ("1", True)
    asked = question(agent)
    assert {name: asked[name] for name in ("kind", "workspace", "old", "new", "tree_bytes")} == {
        "kind": "diff", "workspace": str(versions[0].workspace_id), "old": versions[1].manifest,
        "new": versions[2].manifest, "tree_bytes": 2 * 1234,
    }  # fmt: skip
    assert asked["tenant"] == f"u{versions[0].workspace.owner_id}"
    said = done(added=NAMES, removed=[b"gone"], more=1)
    assert say(agent, asked, said) == (200, {})
    assert say(agent, asked, said) == (200, {})  # a reply that was lost
    found = ask(client)
    assert b"\\udcff\\u001b[2J" in found.content
    assert json.loads(found.content) == {
        "from": 2, "to": 3, "added": TEXTS, "changed": [], "removed": ["gone"],
        "totals": {"added": 4, "changed": 0, "removed": 1}, "truncated": True,
    }  # fmt: skip
    back = ask(client, "?from=3&to=2").json()
    assert (back["from"], back["to"], back["removed"], back["added"]) == (3, 2, TEXTS, ["gone"])
    assert agent.poll_all()["questions"] == []


def test_which_versions_by_default(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    for query, pair in (("", (1, 2)), ("?to=2", (0, 1)), ("?from=1", (0, 2)), ("?from=3&to=1", (0, 2))):
        Comparison.objects.all().delete()
        assert_error(ask(client, query), 503, "diff_pending")
        asked = question(agent)
        assert (asked["old"], asked["new"]) == tuple(versions[n].manifest for n in pair), query


def test_what_needs_no_host(client: Client, owner: User, versions: list[Version]) -> None:
    version_restore(Workspace.objects.get(), 1)
    for query in ("?from=2&to=2", "?from=1&to=4"):
        body = ask(client, query).json()
        assert (body["added"], body["changed"], body["removed"], body["truncated"]) == ([], [], [], False)
    assert not Comparison.objects.exists()


def test_versions_that_are_none(client: Client, agent: Agent, versions: list[Version]) -> None:
    for query in ("?from=9", "?to=9", "?to=1"):
        assert_error(ask(client, query), 404, "version_not_found")
    for query in ("?from=0", "?from=x", "?to=-1", "?to=99999999999999999999"):
        assert_error(ask(client, query), 400, "invalid")
    assert not Comparison.objects.exists()


def test_strangers_and_unsaved_workspaces(client: Client, agent: Agent, owner: User) -> None:
    saved(user(), "w", versions=2)
    assert_error(ask(client), 404, "workspace_not_found")
    Workspace.objects.create(owner=owner, name="w", disk_gb=1)
    assert_error(ask(client), 409, "workspace_not_saved")


def test_nobody_to_ask(client: Client, versions: list[Version]) -> None:
    Agent(boot=False)
    answer = ask(client)
    assert_error(answer, 503, "no_host")
    assert "No host is online" in answer.json()["error"]


def test_who_waits_is_woken(client: Client, agent: Agent, versions: list[Version]) -> None:
    """Many clients ask for the same at once: a host is asked once, and its answer is everybody's."""
    answers: list[Any] = []

    def ask_and_wait() -> None:
        try:
            answers.append(ask(client))
        finally:
            connections.close_all()

    clients = [threading.Thread(target=ask_and_wait) for _ in range(5)]
    for each in clients:
        each.start()
    asked = agent.poll_all(wait=20)["questions"]
    while not asked:
        asked = agent.poll_all(wait=20)["questions"]
    say(agent, asked[0], done(added=[b"a"]))
    for each in clients:
        each.join(30)
    assert [answer.json()["added"] for answer in answers] == [["a"]] * 5
    assert Comparison.objects.get().asks == 1
    assert agent.poll_all()["questions"] == []


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("damaged", 409, "version_damaged"),
        ("too_deep", 409, "diff_impossible"),
        ("unavailable", 503, "diff_failed"),
        ("overdue", 503, "diff_failed"),
        ("failed", 503, "diff_failed"),
    ],
)
def test_a_failure_is_told_and_asked_again_later(
    client: Client,
    agent: Agent,
    versions: list[Version],
    impatient: None,
    reason: str,
    status: int,
    code: str,
) -> None:
    ask(client)
    say(agent, question(agent), failed(reason))
    for _ in range(2):
        answer = ask(client)
        assert_error(answer, status, code)
        assert b"hostile" not in answer.content
    assert agent.poll_all()["questions"] == []
    Comparison.objects.update(ended_at=timezone.now() - timedelta(minutes=2))
    assert_error(ask(client), 503, "diff_pending")
    say(agent, question(agent), done())
    assert ask(client).status_code == 200


def test_what_is_known_to_be_damaged_is_not_asked(
    client: Client, agent: Agent, versions: list[Version]
) -> None:
    version_damage(versions[1], "broken")
    assert_error(ask(client, "?from=1&to=3"), 409, "version_damaged")
    assert not Comparison.objects.exists()


def test_only_the_host_that_was_asked_is_heard(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    ask(client)
    asked = question(agent)
    thief = Agent()
    assert say(thief, asked, done())[1]["code"] == "stale_question"
    assert say(agent, {"id": asked["id"] + 1}, done())[1]["code"] == "stale_question"
    assert say(agent, asked, done(), boot_epoch=agent.boot_epoch + 1)[1]["code"] == "stale_boot"
    old = agent.boot_epoch
    agent.boot()
    assert say(agent, asked, done(), boot_epoch=old)[1]["code"] == "stale_boot"
    assert say(agent, asked, done())[1]["code"] == "stale_question"  # asked of its former life
    assert Comparison.objects.get().state == ComparisonState.ASKED


def test_a_host_that_dies_is_asked_no_more(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    other = Agent(boot=False)
    Workspace.objects.update(host=agent.host)
    ask(client)
    first = question(agent)
    agent.boot()  # it was killed: its next life is asked again
    ask(client)
    assert question(agent)["id"] == first["id"]
    Host.objects.filter(pk=agent.host.pk).update(is_online=False)
    other.boot()
    ask(client)
    again = question(other)
    Comparison.objects.update(asked_at=timezone.now() - timedelta(hours=1))  # it lives, and says nothing
    assert_error(ask(client), 503, "diff_failed")  # that is three of them
    assert say(other, again, done())[0] == 200  # late is better than never, but it is over
    assert ask(client).status_code == 503


def test_another_host_instead_of_a_silent_one(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    Workspace.objects.update(host=agent.host)
    ask(client)
    silent, other = question(agent), Agent()
    Comparison.objects.update(asked_at=timezone.now() - timedelta(hours=1))
    ask(client)
    assert say(other, question(other), done(added=[b"x"]))[0] == 200
    assert say(agent, silent, done())[1]["code"] == "stale_question"
    assert ask(client).json()["added"] == ["x"]


def test_the_host_with_the_data_is_asked_first(
    client: Client, versions: list[Version], impatient: None
) -> None:
    hosts = [Agent() for _ in range(3)]
    Workspace.objects.update(host=hosts[1].host)
    ask(client)
    assert [len(host.poll_all()["questions"]) for host in hosts] == [0, 1, 0]


def test_a_host_owes_only_so_much(
    client: Client, agent: Agent, owner: User, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "HOST_LIMIT", 1)
    saved(owner, versions=3)
    for query in ("?to=2", "?to=3"):
        assert_error(ask(client, query), 503, "diff_pending")
    say(agent, question(agent), done())
    assert_error(ask(client, "?to=3"), 503, "diff_pending")  # now there is room to ask
    say(agent, question(agent), done())
    assert ask(client, "?to=3").status_code == 200


def test_another_host_instead_of_one_that_owes_enough(
    client: Client, agent: Agent, versions: list[Version], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "HOST_LIMIT", 1)
    Workspace.objects.update(host=agent.host)
    idle = Agent()
    for query in ("?to=2", "?to=3"):
        assert_error(ask(client, query), 503, "diff_pending")
    assert [len(host.poll_all()["questions"]) for host in (agent, idle)] == [1, 1]


def test_a_question_lets_its_host_read_and_nothing_else(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    [theirs] = saved(user(), "theirs")
    ask(client)
    asked = question(agent)
    wanted = {
        "boot_epoch": agent.boot_epoch, "question": asked["id"], "get": [asked["old"], theirs.manifest],
        "put": [["0" * 64, 1]],
    }  # fmt: skip
    status, signed = agent.call("post", "/objects", wanted)
    assert (status, signed["put"]) == (200, {})
    assert request("GET", signed["get"][asked["old"]])[0] == 200
    assert request("GET", signed["get"][theirs.manifest])[0] == 404
    assert Agent().call("post", "/objects", wanted)[1]["code"] == "stale_question"
    for change in ({"get": ["x"]}, {"question": 0}, {"question": "1"}):
        assert agent.call("post", "/objects", wanted | change)[1]["code"] == "invalid"
    say(agent, asked, done())
    assert agent.call("post", "/objects", wanted)[1]["code"] == "stale_question"  # it is answered
    assert agent.call("post", "/objects", wanted | {"boot_epoch": 9})[1]["code"] == "stale_boot"


def test_a_wrong_answer_is_refused(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    ask(client)
    asked = question(agent)
    for answer in (
        None,
        {},
        {"result": "maybe"},
        failed("because"),
        {**failed("failed"), "message": "x" * 2001},
        done(added=[b"a"], more=-1),
        {**done(), "totals": {"added": 0}},
        {**done(), "totals": {"added": -1, "changed": 0, "removed": 0}},
        {**done(), "added": "no base64"},
        {**done(), "added": "\u00e9"},
        done(added=[b"a", b"", b"b"]),
        done(added=[b"a" * 70_000]),
        done(added=[b"a"] * 6000, removed=[b"a"] * 6000),
        done(added=[b"a" * 700] * 1000, removed=[b"a" * 700] * 1000),
    ):
        status, body = say(agent, asked, answer)
        assert (status, body["code"]) == (400, "invalid"), body
    assert say(agent, asked, done())[0] == 200


def test_answers_go_with_their_versions_and_with_time(
    client: Client, agent: Agent, versions: list[Version], impatient: None
) -> None:
    ask(client)
    say(agent, question(agent), done())
    assert comparisons_expire() == 0
    Comparison.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert comparisons_expire() == 1
    ask(client)
    Workspace.objects.update(head=None)
    versions[2].delete()
    assert not Comparison.objects.exists()


def test_a_workspace_keeps_only_so_many_answers(
    client: Client, agent: Agent, versions: list[Version], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "KEPT_OF_WORKSPACE", 1)
    for query in ("?to=2", "?to=3", "?from=1&to=3"):
        ask(client, query)
        say(agent, question(agent), done())
    assert Comparison.objects.count() == 1


def test_a_workspace_keeps_only_so_many_questions_that_nobody_was_asked(
    client: Client, agent: Agent, versions: list[Version], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "KEPT_OF_WORKSPACE", 1)
    monkeypatch.setattr(compare, "HOST_LIMIT", 0)
    for query in ("?to=2", "?to=3", "?from=1&to=3"):
        assert_error(ask(client, query), 503, "diff_pending")
    assert Comparison.objects.get().new == versions[2]


def test_a_question_that_is_forgotten_while_it_is_looked_at_is_asked_anew(
    agent: Agent, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = compare._kept

    def forgotten(old: Version, new: Version) -> Comparison:
        found = kept(old, new)
        Comparison.objects.all().delete()
        return found

    monkeypatch.setattr(compare, "_kept", forgotten)
    assert compare.versions_compare(*versions[:2]) is None
    monkeypatch.undo()
    assert compare.versions_compare(*versions[:2]) is None
    assert len(agent.poll_all()["questions"]) == 1
