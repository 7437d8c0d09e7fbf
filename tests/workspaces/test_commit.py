"""The commit of a version: what it checks, that it can be repeated, and that a kill loses nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from accounts.models import User
from tests.jobs.test_transitions import at_once
from tests.workspaces.factories import (
    Snapshot,
    commit_of,
    hold_on,
    put,
    saved,
    snapshot,
    user,
)
from workspaces import keys, objectstore
from workspaces.chains import chain
from workspaces.errors import (
    BadManifest,
    HeadMoved,
    MissingObjects,
    ObjectStoreUnavailable,
    StaleHold,
    VersionDamaged,
)
from workspaces.limits import SEGMENT_RAW_BYTES
from workspaces.models import StoredObject, Version, VersionObject, Workspace
from workspaces.records import record_of
from workspaces.selectors import Hold
from workspaces.services import (
    commit,
    objects,
    records,
    records_complete,
    version_commit,
    version_damage,
    workspace_release,
    workspace_take,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket")]


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def hold(owner: User) -> Hold:
    return hold_on(owner)


def workspace_of(hold: Hold) -> Workspace:
    return Workspace.objects.select_related("head").get(pk=hold.workspace_id)


def test_a_chain_of_versions(owner: User, hold: Hold) -> None:
    stream = bytes(SEGMENT_RAW_BYTES) * 2 + b"end"  # two equal pieces are one object
    first = snapshot(stream)
    put(owner, first)
    one = version_commit(hold, commit_of(first))
    second = snapshot(parent=first.sha256)
    put(owner, second)
    two = version_commit(hold, commit_of(second, first.sha256))
    assert (one.number, one.manifest, one.parent, one.raw_bytes) == (1, first.sha256, None, len(stream))
    assert (two.number, two.parent_id, two.tree_bytes) == (2, one.pk, 1234)
    assert one.stored_bytes == sum(len(body) for body in first.objects.values())
    assert len(first.objects) == 3
    assert {row.sha256 for row in one.needs.all()} == set(first.objects)
    workspace = workspace_of(hold)
    assert (workspace.head, workspace.last_number, workspace.is_saved) == (two, 2, True)
    assert chain(two.pk) == [one, two]


def test_the_commit_record_says_what_a_rebuild_needs(owner: User, hold: Hold) -> None:
    first, second = snapshot(), snapshot()
    for made in (first, second):
        put(owner, made)
    version_commit(hold, commit_of(first))
    version = version_commit(hold, commit_of(second, first.sha256))  # a full stream on a head
    key = keys.record_key(owner.pk, hold.workspace_id, 2)
    record = record_of(objectstore.get(key, 10_000) or b"")
    assert (record.workspace, record.name, record.owner) == (hold.workspace_id, "w", owner.pk)
    assert (record.number, record.manifest, record.parent_number) == (2, second.sha256, None)
    assert version.durable_at is not None


def test_a_repeated_commit_answers_the_same(owner: User, hold: Hold) -> None:
    made = snapshot()
    put(owner, made)
    first = version_commit(hold, commit_of(made))
    again = version_commit(hold, commit_of(made))
    assert (again.pk, again.durable_at) == (first.pk, first.durable_at)
    assert Version.objects.count() == 1


def test_what_is_not_there_is_named(owner: User, hold: Hold) -> None:
    made = snapshot()
    with pytest.raises(MissingObjects) as caught:
        version_commit(hold, commit_of(made))
    assert caught.value.missing == [made.sha256]
    [segment] = made.segments
    put(owner, made, without=segment)
    with pytest.raises(MissingObjects) as caught:
        version_commit(hold, commit_of(made))
    assert caught.value.missing == [segment]
    assert not Version.objects.exists()
    put(owner, made)
    assert version_commit(hold, commit_of(made)).number == 1


def test_somebody_elses_objects_do_not_count(owner: User, hold: Hold) -> None:
    made = snapshot()
    put(user(), made)
    with pytest.raises(MissingObjects):
        version_commit(hold, commit_of(made))


def test_only_the_holder_with_its_epoch_commits(owner: User, hold: Hold) -> None:
    made = snapshot()
    put(owner, made)
    for wrong in (
        Hold(hold.workspace_id, "x" * 16, hold.epoch),
        Hold(hold.workspace_id, hold.sandbox_id, hold.epoch + 1),
    ):
        with pytest.raises(StaleHold):
            version_commit(wrong, commit_of(made))
    workspace_release(hold)
    with pytest.raises(StaleHold):
        version_commit(hold, commit_of(made))
    again = workspace_take(owner, "w", hold.sandbox_id, is_saved=True, disk_gb=2)
    with pytest.raises(StaleHold):  # the same sandbox, but the hold of before
        version_commit(hold, commit_of(made))
    assert version_commit(Hold(again.pk, hold.sandbox_id, again.epoch), commit_of(made)).number == 1


def test_a_hold_lost_while_the_commit_is_under_way(
    owner: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = snapshot()
    put(owner, made)
    real = objects.objects_require

    def lose_then_look(*args: Any) -> None:
        workspace_release(hold)
        real(*args)

    monkeypatch.setattr(commit, "objects_require", lose_then_look)
    with pytest.raises(StaleHold):
        version_commit(hold, commit_of(made))
    assert not Version.objects.exists()


def test_a_head_that_moved(owner: User, hold: Hold) -> None:
    first, second = snapshot(), snapshot()
    for made in (first, second):
        put(owner, made)
    version_commit(hold, commit_of(first))
    for parent in (None, "0" * 64, second.sha256):
        with pytest.raises(HeadMoved):
            version_commit(hold, commit_of(second, parent))


def test_a_stream_continues_only_versions_of_this_workspace(owner: User, hold: Hold) -> None:
    [elsewhere] = saved(owner, "other")
    made = snapshot(parent=elsewhere.manifest)
    put(owner, made)
    with pytest.raises(HeadMoved):
        version_commit(hold, commit_of(made))


def test_damaged_data_is_not_built_on(owner: User, hold: Hold) -> None:
    first = snapshot()
    put(owner, first)
    version_damage(version_commit(hold, commit_of(first)), "A segment is missing.")
    second, full = snapshot(parent=first.sha256), snapshot()
    for made in (second, full):
        put(owner, made)
    assert workspace_of(hold).damage == "A segment is missing."
    with pytest.raises(VersionDamaged, match="damaged"):
        version_commit(hold, commit_of(second, first.sha256))
    version_commit(hold, commit_of(full, first.sha256))
    assert (workspace_of(hold).damaged_at, workspace_of(hold).damage) == (None, "")


def bad_manifests() -> dict[str, Snapshot]:
    good = snapshot(b"x" * 100)
    [(name, body)] = good.segments.items()
    return {
        "format": snapshot(format=2),
        "unknown": snapshot(more=1),
        "no segments": snapshot(segments=[], raw_bytes=0),
        "sum": snapshot(raw_bytes=1),
        "short piece": snapshot(segments=[[name, len(body), 100]] * 2, raw_bytes=200),
        "two sizes": snapshot(
            segments=[[name, 50, SEGMENT_RAW_BYTES], [name, 51, 100]], raw_bytes=SEGMENT_RAW_BYTES + 100
        ),
        "size": Snapshot(
            good.manifest.replace(f",{len(body)},".encode(), f",{len(body) + 1},".encode()), good.segments
        ),
        "name": snapshot(raw_sha256="X" * 64),
        "not canonical": Snapshot(good.manifest.replace(b",", b", "), good.segments),
        "not JSON": Snapshot(b"\xff{"),
        "deep": Snapshot(b"[" * 100_000),
    }


@pytest.mark.parametrize("kind", bad_manifests())
def test_a_wrong_manifest_is_refused(owner: User, hold: Hold, kind: str) -> None:
    made = bad_manifests()[kind]
    put(owner, made)
    with pytest.raises(BadManifest):
        version_commit(hold, commit_of(made))
    assert not Version.objects.exists()


def test_a_manifest_of_another_name_is_refused(owner: User, hold: Hold) -> None:
    name = hashlib.sha256(b"other").hexdigest()
    objectstore.put_new(keys.object_key(keys.tenant(owner.pk), name), snapshot().manifest)
    with pytest.raises(BadManifest, match="name"):
        version_commit(hold, commit_of(Snapshot(b"other")))


def test_a_size_that_an_earlier_commit_got_wrong_does_not_stay(owner: User, hold: Hold) -> None:
    good = snapshot(b"x" * 100)
    [(name, body)] = good.segments.items()
    wrong = Snapshot(good.manifest.replace(f",{len(body)},".encode(), f",{len(body) + 1},".encode()))
    put(owner, wrong)
    put(owner, good)
    with pytest.raises(BadManifest):
        version_commit(hold, commit_of(wrong))
    version_commit(hold, commit_of(good))
    assert StoredObject.objects.get(sha256=name).size_bytes == len(body)


SEAMS: list[tuple[Any, str]] = [
    (objectstore, "get"),
    (commit, "objects_claim"),
    (commit, "objects_require"),
    (commit, "_publish"),
    (commit, "objects_attach"),
    (commit, "_move_head"),
    (commit, "record_complete"),
    (objectstore, "put_new"),
]


class Killed(BaseException):
    """The process is gone: nothing of ours catches this."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "name"), SEAMS, ids=[name for _, name in SEAMS])
def test_a_kill_at_any_step(
    owner: User, hold: Hold, module: Any, name: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is a complete version at any time, and the host's next try completes the new one."""
    first = snapshot()
    put(owner, first)
    one = version_commit(hold, commit_of(first))
    made = snapshot(parent=first.sha256)
    put(owner, made)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, killing(getattr(module, name), after=after))
        with pytest.raises(Killed):
            version_commit(hold, commit_of(made, first.sha256))
    head = workspace_of(hold).head
    assert head is not None
    assert head.manifest in {first.sha256, made.sha256}
    for version in chain(head.pk):
        for row in version.needs.all():
            assert objectstore.size_of(keys.object_key(keys.tenant(owner.pk), row.sha256)) == row.size_bytes
    two = version_commit(hold, commit_of(made, first.sha256))
    assert (two.number, two.parent_id, two.durable_at is not None) == (2, one.pk, True)
    assert objectstore.size_of(keys.record_key(owner.pk, hold.workspace_id, 2))


def killing(real: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    def killed(*args: Any, **kwargs: Any) -> Any:
        if after:
            real(*args, **kwargs)
        raise Killed

    return killed


def test_the_sweep_completes_what_a_kill_left(
    owner: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = snapshot()
    put(owner, made)
    with monkeypatch.context() as patch:
        patch.setattr(commit, "record_complete", killing(records.record_complete, after=False))
        with pytest.raises(Killed):
            version_commit(hold, commit_of(made))
    version = Version.objects.get()
    assert version.durable_at is None
    assert records_complete() == 0  # the call that made it may be about to do so
    monkeypatch.setattr(records, "SWEEP_AFTER_S", 0)
    assert records_complete() == 1
    version.refresh_from_db()
    assert version.durable_at is not None
    assert version_commit(hold, commit_of(made)).durable_at == version.durable_at
    assert records_complete() == 0


def test_a_store_that_is_away_acknowledges_nothing(owner: User, hold: Hold, settings: Any) -> None:
    made = snapshot()
    put(owner, made)
    real, settings.S3_ENDPOINT = settings.S3_ENDPOINT, "http://127.0.0.1:9"
    with pytest.raises(ObjectStoreUnavailable):
        version_commit(hold, commit_of(made))
    assert not Version.objects.exists()
    settings.S3_ENDPOINT = real
    assert version_commit(hold, commit_of(made)).number == 1


def test_what_else_forbids_it_is_asked_in_the_transaction(owner: User, hold: Hold) -> None:
    made = snapshot()
    put(owner, made)

    def check() -> None:
        assert transaction.get_connection().in_atomic_block
        raise StaleHold

    with pytest.raises(StaleHold):
        version_commit(hold, commit_of(made), check=check)
    assert not Version.objects.exists()


@pytest.mark.parametrize("_", range(3))
def test_of_commits_at_once_one_wins(owner: User, hold: Hold, _: int) -> None:
    made = [snapshot() for _ in range(4)]
    for each in made:
        put(owner, each)
    results = at_once(*[lambda each=each: version_commit(hold, commit_of(each)) for each in made])
    won = [result for result in results if isinstance(result, Version)]
    assert len(won) == 1, results
    assert [type(result) for result in results if result not in won] == [HeadMoved] * 3
    assert workspace_of(hold).head == won[0]
    assert VersionObject.objects.count() == 2


@pytest.mark.parametrize("_", range(3))
def test_the_same_commit_at_once_is_one_version(owner: User, hold: Hold, _: int) -> None:
    made = snapshot()
    put(owner, made)
    results = at_once(*[lambda: version_commit(hold, commit_of(made))] * 4)
    assert [getattr(result, "pk", result) for result in results] == [Version.objects.get().pk] * 4
