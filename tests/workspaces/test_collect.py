"""Garbage: what nobody needs goes, what somebody needs or may be about to need stays."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from accounts.models import User
from tests.jobs.test_transitions import at_once
from tests.workspaces.factories import Snapshot, commit_of, hold_on, put, saved, snapshot, user
from workspaces import keys, objectstore
from workspaces.errors import MissingObjects, ObjectStoreUnavailable
from workspaces.models import StoredObject, Version, Workspace
from workspaces.selectors import workspace_get
from workspaces.services import (
    Collected,
    collect,
    commit,
    objects_collect,
    version_commit,
    versions_expire,
    versions_prune,
    workspace_delete,
    workspace_fork,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket")]


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def no_grace(settings: Any) -> None:
    """All that is there is old."""
    settings.COLLECT_GRACE_HOURS = -1


def names(owner: User) -> set[str]:
    found = objectstore.walk(keys.objects_prefix(keys.tenant(owner.pk)))
    return {entry.key.rpartition("/")[2] for entry in found}


def needed() -> set[str]:
    return set(StoredObject.objects.filter(uses__isnull=False).values_list("sha256", flat=True))


def records(owner: User) -> list[str]:
    return [entry.key.rpartition("/")[2] for entry in objectstore.walk(keys.records_prefix(owner.pk))]


def test_what_versions_need_stays(owner: User, no_grace: None) -> None:
    saved(owner, versions=3)
    before = names(owner)
    assert len(before) == 6
    assert objects_collect().objects == 0
    assert names(owner) == before == needed()


def test_a_deleted_workspace_goes_from_the_bucket(owner: User, settings: Any) -> None:
    saved(owner, versions=3)
    workspace_delete(workspace_get(owner, "w"))
    assert versions_prune() == 3
    assert (records(owner), Version.objects.count()) == ([], 0)
    assert objects_collect().objects == 0  # not before the grace is over
    assert len(names(owner)) == 6
    settings.COLLECT_GRACE_HOURS = -1
    collected = objects_collect()
    assert (collected.objects, collected.size_bytes > 0, collected.skipped) == (6, True, [])
    assert names(owner) == set()
    assert not StoredObject.objects.exists()


def test_a_fork_keeps_what_it_needs_of_a_deleted_workspace(owner: User, no_grace: None) -> None:
    one, two, three = saved(owner, versions=3)
    source = workspace_get(owner, "w")
    fork = workspace_fork(owner, source, "f", number=2)
    workspace_delete(source)
    assert versions_prune() == 2  # the third, and the second, whose data the fork shares
    assert set(Version.objects.values_list("manifest", flat=True)) == {one.manifest, two.manifest}
    assert records(owner).count("deleted.json") == 1
    objects_collect()
    assert names(owner) == needed()
    assert len(needed()) == 4
    assert three.manifest not in names(owner)
    workspace_delete(workspace_get(owner, "f"))
    assert versions_prune() == 2
    objects_collect()
    assert (names(owner), records(owner)) == (set(), [])
    assert Workspace.objects.filter(pk=fork.pk, deleted_at__isnull=False).exists()


def test_the_rule_keeps_the_newest_the_young_and_what_they_build_on(owner: User, settings: Any) -> None:
    settings.VERSIONS_KEPT, settings.VERSIONS_KEPT_DAYS = 2, 30
    saved(owner, "full", versions=5, is_chain=False)
    saved(owner, "chain", versions=5)
    assert versions_expire() == 0  # all are young
    old = timezone.now() - timedelta(days=31)
    Version.objects.exclude(workspace__name="full", number=2).update(committed_at=old)
    assert versions_expire() == 2
    offered = Version.objects.filter(expired_at__isnull=True).order_by("number")
    assert [v.number for v in offered.filter(workspace__name="full")] == [2, 4, 5]
    assert [v.number for v in offered.filter(workspace__name="chain")] == [1, 2, 3, 4, 5]
    assert versions_prune() == 2
    assert versions_expire() == versions_prune() == 0


def test_what_was_never_committed_goes_after_the_grace(owner: User, settings: Any) -> None:
    saved(owner)
    left = snapshot()
    put(owner, left)
    objects_collect()
    assert set(left.objects) <= names(owner)
    settings.COLLECT_GRACE_HOURS = -1
    assert objects_collect().objects == 2
    assert names(owner) == needed()


def test_a_dry_run_changes_nothing(owner: User, no_grace: None) -> None:
    saved(owner)
    left = snapshot()
    put(owner, left)
    out = io.StringIO()
    call_command("workspaces_collect", "--dry-run", stdout=out)
    size = sum(len(body) for body in left.objects.values())
    assert out.getvalue() == f"2 objects, {size} bytes would be removed\n"
    assert set(left.objects) <= names(owner)
    assert not StoredObject.objects.filter(collected_at__isnull=False).exists()
    out = io.StringIO()
    call_command("workspaces_collect", stdout=out)
    assert f"2 objects, {size} bytes removed" in out.getvalue()
    assert names(owner) == needed()


def test_nothing_is_collected_over_a_database_that_lost_rows(owner: User, no_grace: None) -> None:
    saved(owner, versions=2)
    saved(owner, "other")
    Workspace.objects.filter(name="w").delete()
    StoredObject.objects.filter(uses__isnull=True).delete()
    before = names(owner)
    assert objects_collect().skipped == [owner.pk]
    out = io.StringIO()
    call_command("workspaces_collect", stdout=out)
    assert f"u{owner.pk}: left alone" in out.getvalue()
    assert names(owner) == before


def test_a_commit_refuses_what_is_marked_and_takes_it_when_it_is_put_again(
    owner: User, no_grace: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(owner, "other")
    hold, made = hold_on(owner), snapshot()
    put(owner, made)
    with monkeypatch.context() as patch:
        patch.setattr(objectstore, "delete", unavailable)  # the answer is lost
        with pytest.raises(ObjectStoreUnavailable):
            objects_collect()
    assert set(made.objects) <= names(owner)
    with pytest.raises(MissingObjects) as caught:
        version_commit(hold, commit_of(made))
    assert set(caught.value.missing) == set(made.objects)
    objects_collect()  # the mark belongs to the run before, which may still be at it
    assert set(made.objects) <= names(owner)
    monkeypatch.setattr(collect, "CLAIM_S", 0)
    objects_collect()
    assert not set(made.objects) & names(owner)
    put(owner, made)
    assert version_commit(hold, commit_of(made)).number == 1
    objects_collect()
    assert names(owner) == needed()


def unavailable(*args: Any) -> None:
    raise ObjectStoreUnavailable


def test_what_a_commit_has_claimed_is_not_collected(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host goes on after days with objects that lie in the bucket without a row: the collector runs
    after each step of the commit, and to it everything from before the commit is old."""
    hold, made = hold_on(owner), snapshot()
    put(owner, made)
    prefix = keys.objects_prefix(keys.tenant(owner.pk))
    old = max(entry.modified_at for entry in objectstore.walk(prefix)) + timedelta(milliseconds=1)
    while timezone.now() <= old:
        time.sleep(0.05)
    for name in ("objects_claim", "objects_require", "_publish"):
        monkeypatch.setattr(commit, name, then_collect(getattr(commit, name), owner, old))
    assert version_commit(hold, commit_of(made)).number == 1
    assert names(owner) == needed() == set(made.objects)


def then_collect(real: Callable[..., Any], owner: User, before: datetime) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        answer = real(*args)
        now = timezone.now()
        collect.mark_unused(owner.pk, before, now)
        collect.mark_unknown(owner.pk, before, now)
        collect._remove(now, Collected())
        return answer

    return run


@pytest.mark.parametrize("_", range(10))
def test_a_collector_that_races_commits_removes_nothing_they_need(owner: User, settings: Any, _: int) -> None:
    """Objects that lie in the bucket for a long time, as a host has them that resumes: at the very
    moment in which it commits them, the collector finds that nobody needs them."""
    settings.COLLECT_GRACE_HOURS = 1
    holds = [hold_on(owner, f"w{n}") for n in range(3)]
    made = [snapshot() for _ in holds]
    for each in made:
        put(owner, each)
    old = timezone.now() - timedelta(hours=2)
    rows = [
        StoredObject(owner=owner, sha256=name, size_bytes=len(body), kind="segment", seen_at=old)
        for each in made
        for name, body in each.objects.items()
    ]
    StoredObject.objects.bulk_create(rows)

    def host(number: int) -> Version:
        for _ in range(50):
            try:
                return version_commit(holds[number], commit_of(made[number]))
            except MissingObjects:
                put(owner, made[number])
        raise AssertionError("never committed")

    hosts = [lambda n=n: host(n) for n in range(len(holds))]
    results = at_once(objects_collect, *hosts, objects_collect)
    versions = [result for result in results if isinstance(result, Version)]
    assert len(versions) == 3, results
    objects_collect()
    assert needed() == {name for each in made for name in each.objects}
    assert needed() <= names(owner)


@pytest.mark.parametrize("first", ["commit", "collector"])
def test_the_mark_and_the_commit_wait_for_each_other(owner: User, settings: Any, first: str) -> None:
    """Both are about to act on one old object; one holds its row's lock, the other gets there meanwhile."""
    settings.COLLECT_GRACE_HOURS = 1
    hold, made = hold_on(owner), snapshot()
    put(owner, made)
    [segment] = made.segments
    old = timezone.now() - timedelta(hours=2)
    StoredObject.objects.create(
        owner=owner, sha256=segment, size_bytes=len(made.segments[segment]), kind="segment", seen_at=old
    )
    if first == "collector":
        objects_collect()
        with pytest.raises(MissingObjects):
            version_commit(hold, commit_of(made))
        return
    _commit_while_collecting(owner, hold, made)
    assert needed() == set(made.objects)
    assert needed() <= names(owner)


def _commit_while_collecting(owner: User, hold: Any, made: Snapshot) -> None:
    """The collector begins while the commit's transaction has the rows locked and is not done."""
    is_locked, is_waiting = threading.Event(), threading.Event()
    real = commit._move_head
    with pytest.MonkeyPatch.context() as patch:

        def pause(*args: Any) -> None:
            is_locked.set()
            is_waiting.wait(1)  # the collector is at the lock by then, or nowhere near it: both are fine
            real(*args)

        def gather() -> None:
            is_locked.wait()
            # As if the claim had come long ago: only the lock and the uses protect the object now.
            cutoff = timezone.now() + timedelta(hours=1)
            collect.mark_unused(owner.pk, cutoff, timezone.now())
            is_waiting.set()
            connections.close_all()

        patch.setattr(commit, "_move_head", pause)
        thread = threading.Thread(target=gather)
        thread.start()
        version_commit(hold, commit_of(made))
        thread.join()
    assert not StoredObject.objects.filter(collected_at__isnull=False).exists()
