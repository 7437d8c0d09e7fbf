"""The page that compares two versions, over HTTP: what it says in each state, and whom it shows it to."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from dashboard.diffs import SHOWN_LIMIT
from tests.accounts.factories import user
from tests.dashboard.saved import damage, workspace_of
from tests.dashboard.test_workspaces import text_of
from tests.jobs.factories import Agent
from workspaces.models import Comparison, Workspace
from workspaces.paths import pack
from workspaces.services import versions_compare
from workspaces.states import ComparisonState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def workspace(owner: User) -> Workspace:
    return workspace_of(owner, "w", versions=3)


def answered(workspace: Workspace, *, more: int = 0, **kinds: list[bytes]) -> None:
    """The two newest versions are compared already."""
    new, old = workspace.versions.order_by("-number")[:2]
    values = {name: pack(paths) for name, paths in kinds.items()}
    totals = {f"{name}_total": len(paths) + more for name, paths in kinds.items()}
    Comparison.objects.create(
        old=old, new=new, state=ComparisonState.ANSWERED, asked_at=timezone.now(), **values, **totals
    )


def test_lists_what_changed(client: Client, workspace: Workspace) -> None:
    hostile = [b"<script>alert(1)</script>", b"\x1b[31mred", b"caf\xe9", "a\u202eb".encode()]
    answered(workspace, added=hostile, changed=[b"etc/motd"])
    page = text_of(client, "/workspaces/w/diff/")
    for shown in ("&lt;script&gt;", "\\x1b[31mred", "caf\\xe9", "a\\u202eb", "etc/motd"):
        assert f"<li>{shown}" in page
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert 'href="#added"' in page
    assert 'href="#removed"' not in page
    assert "data-pending" not in page
    assert 'name="q"' not in page  # so few are seen at a glance
    back = text_of(client, "/workspaces/w/diff/?from=3&to=2")
    assert 'href="#removed"' in back
    assert "<option selected>3</option>" in back


def test_a_long_list_is_filtered(client: Client, workspace: Workspace) -> None:
    names = [f"lib/{n:04d}".encode() for n in range(SHOWN_LIMIT + 1)]
    answered(workspace, added=names, more=1000)
    page = text_of(client, "/workspaces/w/diff/?from=2&to=3")
    assert "1,501" in page
    assert page.count("<li>lib/") == SHOWN_LIMIT
    assert "And 1 more" in page
    assert "more changes than can be listed" in page
    assert 'type="hidden" name="from" value="2"' in page
    found = text_of(client, "/workspaces/w/diff/?from=2&to=3&q=/0500")
    assert found.count("<li>lib/") == 1
    assert "1 of 1,501" in found
    assert "No path has this in it" in text_of(client, "/workspaces/w/diff/?from=2&to=3&q=nowhere")


def test_says_what_is_the_matter(client: Client, workspace: Workspace) -> None:
    page = text_of(client, "/workspaces/w/diff/")
    assert "No host is online" in page
    assert "data-pending" in page
    agent = Agent()
    page = text_of(client, "/workspaces/w/diff/?from=1&to=3")
    assert "Comparing versions 1 and 3" in page
    assert "data-pending" in page
    assert len(agent.poll_all()["questions"]) == 1
    Comparison.objects.update(state=ComparisonState.FAILED, failure="overdue", ended_at=timezone.now())
    assert "could not be compared in 10 minutes" in text_of(client, "/workspaces/w/diff/?from=1&to=3")
    Comparison.objects.update(failure="too_deep")
    page = text_of(client, "/workspaces/w/diff/?from=1&to=3")
    assert "too long to be compared" in page
    assert "data-pending" not in page
    assert "Nothing differs" in text_of(client, "/workspaces/w/diff/?from=2&to=2")
    damage(workspace, 2)
    assert "missing or changed" in text_of(client, "/workspaces/w/diff/?from=1&to=2")


def test_versions_that_are_none(client: Client, owner: User, workspace: Workspace) -> None:
    for query in ("?from=9&to=3", "?to=1", "?to=x", "?from=0", "?to=99999999999", "?from=-1"):
        assert "Choose two that are in the list." in text_of(client, f"/workspaces/w/diff/{query}", 404)
    workspace_of(owner, "unsaved")
    assert "has no version yet" in text_of(client, "/workspaces/unsaved/diff/")
    workspace_of(user(), "theirs", versions=2)
    assert client.get("/workspaces/theirs/diff/").status_code == 404
    assert Client().get("/workspaces/w/diff/")["Location"] == "/login/?next=/workspaces/w/diff/"


def test_each_version_leads_to_its_changes(client: Client, owner: User, workspace: Workspace) -> None:
    page = text_of(client, "/workspaces/w/")
    for number, is_linked in ((3, True), (2, True), (1, False)):
        assert (f'href="/workspaces/w/diff/?to={number}"' in page) == is_linked
    assert 'href="/workspaces/w/diff/">Compare versions' in page
    workspace_of(owner, "one", versions=1)
    assert "/workspaces/one/diff/" not in text_of(client, "/workspaces/one/")


def test_no_more_queries_for_more_paths(
    client: Client, workspace: Workspace, django_assert_max_num_queries: object
) -> None:
    answered(workspace, added=[b"x"] * 400)
    with django_assert_max_num_queries(11):  # type: ignore[operator]
        client.get("/workspaces/w/diff/")
    assert versions_compare(*workspace.versions.order_by("number")[1:]) is not None
