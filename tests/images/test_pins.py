"""A workspace stays on the build that it was first saved on."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from images.models import Build
from jobs.errors import WrongImage
from jobs.models import Job
from sandboxes.models import Sandbox
from tests.images.factories import published
from tests.jobs.factories import Agent, job
from tests.workspaces.factories import commit_of, hold_on, put, snapshot, user
from workspaces.errors import WrongBuild
from workspaces.models import Version, Workspace
from workspaces.selectors import workspace_get
from workspaces.services import Hold, version_commit, workspace_fork, workspace_release, workspaces_rebuild

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket", "redis")]


@pytest.fixture
def owner() -> User:
    return user()


def commit(owner: User, hold: Hold, build: str, parent: Version | None = None, **image: str) -> Version:
    named = {"name": "standard", "digest": build} | image if build else None
    made = snapshot(image=named)
    put(owner, made)
    return version_commit(hold, commit_of(made, parent.manifest if parent else None))


def saved_on(owner: User, build: str, name: str = "w") -> Workspace:
    hold = hold_on(owner, name)
    commit(owner, hold, build)
    workspace_release(hold)
    return workspace_get(owner, name)


def wish_of(agent: Agent) -> dict[str, Any]:
    [wish] = agent.boot()["sandboxes"]
    return dict(wish)


def test_first_version_pins_and_others_are_refused(owner: User) -> None:
    hold = hold_on(owner)
    first = commit(owner, hold, "standard-1")
    assert Workspace.objects.get().image_build == "standard-1"
    second = commit(owner, hold, "standard-1", first)
    for build, image in (("standard-2", {}), ("standard-1", {"name": "alpine"}), ("", {})):
        with pytest.raises(WrongBuild, match="standard-1"):
            commit(owner, hold, build, second, **image)
    assert Version.objects.count() == 2
    assert Workspace.objects.get().head == second


def test_a_version_without_an_image_pins_nothing(owner: User) -> None:
    hold = hold_on(owner)
    first = commit(owner, hold, "")
    assert Workspace.objects.get().image_build == ""
    commit(owner, hold, "standard-1", first)
    assert Workspace.objects.get().image_build == "standard-1"


def test_later_sandboxes_are_wished_with_the_pin(owner: User) -> None:
    agent = Agent()
    saved_on(owner, "standard-1")
    published(build="standard-2")
    job(owner, workspace="w")
    assert wish_of(agent)["image_build"] == "standard-1"


def test_a_new_workspace_stands_on_what_every_host_can_have(owner: User) -> None:
    agent = Agent()
    published(build="standard-2")
    job(owner, workspace="new")
    assert wish_of(agent)["image_build"] == "standard-2"


def test_files_that_were_never_saved_stand_on_what_their_host_knows(owner: User) -> None:
    agent = Agent()
    published(build="standard-2")
    Workspace.objects.create(owner=owner, name="local", disk_gb=2, host=agent.host)
    job(owner, workspace="local")
    assert wish_of(agent)["image_build"] is None


def test_nothing_new_stands_on_a_damaged_build(owner: User) -> None:
    agent = Agent()
    published(build="standard-2")
    Build.objects.update(damaged_at=timezone.now())
    job(owner, workspace="new")
    assert wish_of(agent)["image_build"] is None


def test_forks_stand_on_the_same_build(owner: User) -> None:
    source = saved_on(owner, "standard-1")
    fork = workspace_fork(owner, source, "fork")
    fork.refresh_from_db()
    assert (fork.image, fork.image_build) == ("standard", "standard-1")
    Agent()
    job(owner, workspace="another", base="w")
    made = workspace_get(owner, "another")
    assert (made.image, made.image_build) == ("standard", "standard-1")
    assert Sandbox.objects.get(workspace=made).image_build == "standard-1"


def test_a_sandbox_on_a_base_stands_on_the_bases_build(owner: User) -> None:
    published("alpine")
    agent = Agent()
    Workspace.objects.filter(pk=saved_on(owner, "standard-1").pk).update(
        image="alpine", image_build="alpine-1"
    )
    made = job(owner, base="w")
    wish = wish_of(agent)
    assert (wish["image"], wish["image_build"], wish["volume"]["id"]) == ("alpine", "alpine-1", None)
    assert Job.objects.get(pk=made.pk).image == "alpine"
    with pytest.raises(WrongImage):
        job(owner, base="w", image="another")
    with pytest.raises(WrongImage):
        job(owner, workspace="new", base="w", image="another")


def test_a_rebuild_brings_the_pin_back(owner: User) -> None:
    saved_on(owner, "standard-1")
    Version.objects.all().delete()
    Workspace.objects.all().delete()
    assert workspaces_rebuild().problems == []
    assert Workspace.objects.get().image_build == "standard-1"
