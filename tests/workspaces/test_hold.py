"""Who may write a workspace, and what people do to workspaces that nobody holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from tests.jobs.test_transitions import at_once
from tests.workspaces.factories import Agent, commit_of, hold_on, put, sandbox_id, saved, snapshot, user
from workspaces import keys, objectstore
from workspaces.errors import (
    HeadMoved,
    NotSaved,
    VersionDamaged,
    VersionNotFound,
    WorkspaceInUse,
    WorkspaceNameTaken,
    WorkspaceNotFound,
)
from workspaces.models import Version, Workspace
from workspaces.selectors import Hold, last_good, workspace_get, workspaces_held
from workspaces.services import (
    version_commit,
    version_damage,
    version_heal,
    version_restore,
    workspace_create,
    workspace_damage,
    workspace_delete,
    workspace_fork,
    workspace_place,
    workspace_release,
    workspace_resize,
    workspace_take,
    workspaces_expire_local,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket")]


@pytest.fixture
def owner() -> User:
    return user()


def take(owner: User, name: str = "w", **options: Any) -> Workspace:
    return workspace_take(owner, name, sandbox_id(), **{"is_saved": False, "disk_gb": 2} | options)


def hold_of(workspace: Workspace) -> Hold:
    return Hold(workspace.pk, workspace.holder, workspace.epoch)


def fresh(workspace: Workspace) -> Workspace:
    return Workspace.objects.select_related("head").get(pk=workspace.pk)


def test_one_sandbox_holds_a_workspace(owner: User) -> None:
    first = take(owner, disk_gb=7, image="other")
    assert (first.epoch, first.disk_gb, first.image, first.is_saved) == (1, 7, "other", False)
    with pytest.raises(WorkspaceInUse, match="already in use"):
        take(owner)
    assert take(user()).pk != first.pk  # of the same name, somebody else's
    assert workspaces_held(hold_of(first)).get() == first
    assert workspace_release(hold_of(first))
    assert not workspace_release(hold_of(first))
    again = take(owner, is_saved=True)
    assert (again.pk, again.epoch, again.is_saved, again.disk_gb) == (first.pk, 2, True, 7)
    assert not workspaces_held(hold_of(first)).exists()
    assert not workspace_release(hold_of(first))
    workspace_release(hold_of(again))
    assert take(owner).is_saved  # it only ever turns on


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "known"])
def test_of_many_at_once_one_gets_it(owner: User, is_new: bool) -> None:
    if not is_new:
        workspace_release(hold_of(take(owner)))
    results = at_once(*[lambda: take(owner)] * 6)
    won = [result for result in results if isinstance(result, Workspace)]
    assert len(won) == 1, results
    assert [type(result) for result in results if result not in won] == [WorkspaceInUse] * 5
    assert fresh(won[0]).holder == won[0].holder


def test_where_the_local_data_lies(owner: User) -> None:
    agent = Agent(boot=False)
    taken = take(owner)
    assert workspace_place(hold_of(taken), agent.host)
    assert fresh(taken).host == agent.host
    workspace_release(hold_of(taken))
    assert not workspace_place(hold_of(taken), agent.host)


def test_names_are_unique_among_those_that_live(owner: User) -> None:
    first = workspace_create(owner, "w", disk_gb=2)
    with pytest.raises(WorkspaceNameTaken):
        workspace_create(owner, "w", disk_gb=2)
    workspace_create(user(), "w", disk_gb=2)
    workspace_delete(first)
    assert workspace_create(owner, "w", disk_gb=2).pk != first.pk


def test_the_database_refuses_nonsense(owner: User) -> None:
    workspace = workspace_create(owner, "w", disk_gb=2)
    same = Workspace.objects.filter(pk=workspace.pk)
    for change in (
        {"deleted_at": timezone.now(), "holder": "x"},
        {"damaged_at": timezone.now(), "damage": ""},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            same.update(**change)


def test_restore_is_a_new_version_that_shares_all(owner: User) -> None:
    one, two, _ = saved(owner, versions=3)
    workspace = workspace_get(owner, "w")
    before = len(list(objectstore.walk(keys.objects_prefix(keys.tenant(owner.pk)))))
    made = version_restore(workspace, 2)
    assert (made.number, made.manifest, made.parent_id, made.reason) == (4, two.manifest, one.pk, "restore")
    assert (made.stored_bytes, made.tree_bytes, made.made_at) == (0, two.tree_bytes, two.made_at)
    assert made.durable_at is not None
    assert set(made.needs.all()) == set(two.needs.all())
    assert fresh(workspace).head == made
    assert len(list(objectstore.walk(keys.objects_prefix(keys.tenant(owner.pk))))) == before
    hold = hold_on(owner)  # a host goes on from there
    third = snapshot(parent=two.manifest)
    put(owner, third)
    assert version_commit(hold, commit_of(third, two.manifest)).parent == made


def test_restore_needs_a_free_workspace_and_a_version(owner: User) -> None:
    saved(owner, versions=2)
    workspace = workspace_get(owner, "w")
    with pytest.raises(VersionNotFound):
        version_restore(workspace, 3)
    hold = hold_on(owner)
    with pytest.raises(WorkspaceInUse):
        version_restore(workspace_get(owner, "w"), 1)
    workspace_release(hold)
    Version.objects.filter(number=1).update(expired_at=timezone.now())
    with pytest.raises(VersionNotFound):
        version_restore(workspace, 1)
    assert Version.objects.count() == 2


def test_of_restores_at_once_one_wins(owner: User) -> None:
    saved(owner, versions=2)
    workspaces = [workspace_get(owner, "w") for _ in range(4)]
    results = at_once(*[lambda w=w: version_restore(w, 1) for w in workspaces])
    won = [result for result in results if isinstance(result, Version)]
    assert len(won) == 1, results
    assert [type(result) for result in results if result not in won] == [HeadMoved] * 3
    assert Version.objects.count() == 3


def test_a_fork_shares_the_chain_and_goes_its_own_way(owner: User) -> None:
    one, two = saved(owner, versions=2)
    source = workspace_get(owner, "w")
    fork = workspace_fork(owner, source, "f")
    head = fresh(fork).head
    assert head is not None
    assert (head.number, head.manifest, head.parent_id, head.reason) == (1, two.manifest, one.pk, "fork")
    assert (fresh(fork).disk_gb, fresh(fork).is_saved) == (source.disk_gb, True)
    hold = hold_on(owner, "f")
    made = snapshot(parent=two.manifest)
    put(owner, made)
    assert version_commit(hold, commit_of(made, two.manifest)).parent == head
    assert fresh(source).head == two
    older = fresh(workspace_fork(owner, source, "g", number=1)).head
    assert older is not None
    assert older.manifest == one.manifest
    with pytest.raises(WorkspaceNameTaken):
        workspace_fork(owner, source, "f")
    with pytest.raises(NotSaved):
        workspace_fork(owner, workspace_create(owner, "empty", disk_gb=2), "h")
    assert not Workspace.objects.filter(name="h").exists()


def test_a_take_may_begin_as_a_fork(owner: User) -> None:
    [one] = saved(owner)
    base = workspace_get(owner, "w")
    taken = take(owner, "f", fork_of=base)
    assert taken.head is not None
    assert taken.head.manifest == one.manifest
    workspace_release(hold_of(taken))
    [other] = saved(owner, "other")
    again = take(owner, "f", fork_of=workspace_get(owner, "other"))
    assert again.head is not None
    assert again.head.manifest == one.manifest != other.manifest  # one that exists is taken as it is


def test_delete_needs_a_free_workspace(owner: User) -> None:
    saved(owner, versions=2)
    hold = hold_on(owner)
    workspace = workspace_get(owner, "w")
    with pytest.raises(WorkspaceInUse, match="already in use"):
        workspace_delete(workspace)
    workspace_release(hold)
    workspace_delete(workspace)
    with pytest.raises(WorkspaceNotFound):
        workspace_get(owner, "w")
    with pytest.raises(WorkspaceNotFound):
        workspace_delete(workspace)
    assert not Version.objects.filter(expired_at__isnull=True).exists()


@pytest.mark.parametrize("_", range(3))
def test_a_delete_that_races_a_take(owner: User, _: int) -> None:
    saved(owner)
    workspace = workspace_get(owner, "w")
    deleted, taken = at_once(lambda: workspace_delete(workspace), lambda: take(owner))
    assert isinstance(taken, Workspace), taken
    if deleted is None:  # what was taken is a new one
        assert taken.pk != workspace.pk
        assert taken.head is None
    else:
        assert isinstance(deleted, WorkspaceInUse)
        assert taken.pk == workspace.pk


def test_resize(owner: User) -> None:
    workspace = workspace_create(owner, "w", disk_gb=2)
    workspace_resize(workspace, 9)
    assert fresh(workspace).disk_gb == 9
    workspace_delete(workspace)
    with pytest.raises(WorkspaceNotFound):
        workspace_resize(workspace, 10)


def test_damage_is_marked_where_it_matters(owner: User) -> None:
    one, two, three = saved(owner, versions=3)
    workspace = workspace_get(owner, "w")
    fork = workspace_fork(owner, workspace, "f", number=2)
    workspace_damage(workspace, three.manifest, "Bytes were changed.")
    assert fresh(workspace).damage == "Bytes were changed."
    assert fresh(fork).damaged_at is None
    good = last_good(workspace)
    assert good is not None
    assert good.number == 2
    version_damage(two, "A segment is missing.")
    assert fresh(fork).damage == "A segment is missing."  # it shares the data
    with pytest.raises(VersionDamaged):
        version_restore(workspace, 2)
    with pytest.raises(VersionDamaged):
        workspace_fork(owner, workspace_get(owner, "w"), "g")
    version_restore(workspace, 1)
    assert (fresh(workspace).damaged_at, fresh(workspace).damage) == (None, "")
    version_heal(two)
    assert fresh(fork).damaged_at is None
    assert Version.objects.filter(damaged_at__isnull=False).get() == three
    assert one.damaged_at is None


def test_idle_local_workspaces_go(owner: User) -> None:
    names = ("idle", "saved", "held", "young")
    made = {name: take(owner, name, is_saved=name == "saved") for name in names}
    for name in names:
        if name != "held":
            workspace_release(hold_of(made[name]))
    Workspace.objects.exclude(name="young").update(used_at=timezone.now() - timedelta(minutes=11))
    assert workspaces_expire_local() == [made["idle"]]
    left = Workspace.objects.filter(deleted_at__isnull=True).values_list("name", flat=True)
    assert set(left) == {"saved", "held", "young"}
    assert workspaces_expire_local() == []
