"""When a chain of versions begins anew, and what walks along one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from tests.workspaces.factories import commit_of, hold_on, put, saved, snapshot, user
from workspaces import chains
from workspaces.errors import ChainTooLong
from workspaces.models import Version, Workspace
from workspaces.selectors import Hold, workspace_get
from workspaces.services import (
    FullNext,
    full_next,
    version_commit,
    version_damage,
    version_heal,
    workspace_fork,
)
from workspaces.services.compact import STEP_BYTES
from workspaces.states import VersionReason

pytestmark = [pytest.mark.django_db(transaction=True)]
LONG = 2000


@pytest.fixture
def owner() -> User:
    return user()


def rows(owner: User, stored_bytes: list[int]) -> list[Version]:
    """A chain of versions of these sizes, in the database only."""
    workspace = Workspace.objects.create(owner=owner, name="w", disk_gb=2, last_number=len(stored_bytes))
    at = timezone.now()
    made = [
        Version(
            workspace=workspace, number=number, manifest=f"{number:064x}", reason=VersionReason.CHECKPOINT,
            raw_bytes=size, stored_bytes=size, tree_bytes=1, made_at=at,
        )
        for number, size in enumerate(stored_bytes, 1)
    ]  # fmt: skip
    Version.objects.bulk_create(made)
    made = list(Version.objects.order_by("number"))
    for parent, version in pairwise(made):
        version.parent = parent
    Version.objects.bulk_update(made, ["parent"], batch_size=400)
    return made


def append(owner: User, hold: Hold, parent: Version | None, *, is_full: bool = False) -> Version:
    head = parent.manifest if parent else None
    made = snapshot(parent=None if is_full else head)
    put(owner, made)
    return version_commit(hold, commit_of(made, head))


def test_a_long_chain_is_walked_in_one_query(owner: User, django_assert_num_queries: Any) -> None:
    made = rows(owner, [1000] * LONG)
    with django_assert_num_queries(1):
        found = chains.chain(made[-1].pk)
    assert [version.number for version in found] == list(range(1, LONG + 1))
    assert found == made
    assert chains.chain(made[0].pk) == made[:1]
    with django_assert_num_queries(1):
        weight = chains.chain_weight(made[-1].pk)
    assert weight == chains.ChainWeight(LONG - 1, (LONG - 1) * 1000, 1000)
    assert chains.is_sound(made[-1])
    Version.objects.filter(pk=made[5].pk).update(damaged_at=timezone.now())
    with django_assert_num_queries(1):
        assert not chains.is_sound(made[-1])
    assert chains.is_sound(made[4])


@pytest.mark.parametrize(
    ("full_bytes", "increments", "expected"),
    [
        (1000, [1000] * 9, FullNext.NO),
        (1000, [1000] * 10, FullNext.LATER),  # a little more than ten steps
        (1000, [1000] * 20, FullNext.NOW),
        (1000, [10 * STEP_BYTES], FullNext.LATER),  # one, but large
        (100 * STEP_BYTES, [1000] * 99, FullNext.NO),  # a large one is not sent again for a few small ones
        (100 * STEP_BYTES, [1000] * 100, FullNext.LATER),
        (100 * STEP_BYTES, [98 * STEP_BYTES] * 2, FullNext.LATER),
        (100 * STEP_BYTES, [99 * STEP_BYTES + 1] * 2, FullNext.NOW),
    ],
)
def test_increments_are_weighed_against_the_full_version(
    owner: User, settings: Any, full_bytes: int, increments: list[int], expected: FullNext
) -> None:
    settings.CHAIN_VERSIONS = 10
    assert full_next(rows(owner, [full_bytes, *increments])[-1]) is expected


def test_a_chain_that_is_too_long_is_not_gone_on_with(owner: User, settings: Any, bucket: str) -> None:
    settings.CHAIN_VERSIONS = 2
    hold = hold_on(owner)
    head = append(owner, hold, None)
    told = [full_next(head)]
    for _ in range(4):
        head = append(owner, hold, head)
        told.append(full_next(head))
    assert told == ["no", "no", "later", "later", "now"]
    with pytest.raises(ChainTooLong):
        append(owner, hold, head)
    head = append(owner, hold, head, is_full=True)
    assert full_next(head) == "no"
    assert [len(chains.chain(version.pk)) for version in Version.objects.order_by("number")] == [
        1, 2, 3, 4, 5, 1
    ]  # fmt: skip
    assert append(owner, hold, head).parent == head


def test_a_fork_has_the_weight_of_what_it_shares(owner: User, settings: Any, bucket: str) -> None:
    """Its own version has no bytes of its own; a full one weighs what its stream does."""
    settings.CHAIN_VERSIONS = 2
    [full] = saved(owner)
    fork = workspace_fork(owner, workspace_get(owner, "w"), "f")
    assert fork.head is not None
    assert chains.chain_weight(fork.head.pk) == chains.ChainWeight(0, 0, full.raw_bytes)
    last = saved(owner, "long", versions=5)[-1]
    longer = workspace_fork(owner, workspace_get(owner, "long"), "g").head
    assert longer is not None
    assert chains.chain_weight(longer.pk).increments == chains.chain_weight(last.pk).increments == 4
    assert full_next(longer) == FullNext.NOW
    ours, theirs = chains.chain_weight(longer.pk), chains.chain_weight(last.pk)
    assert ours.increments_bytes == theirs.increments_bytes - last.stored_bytes + last.raw_bytes


def test_a_mark_of_damage_is_seen_along_the_chain(owner: User, bucket: str) -> None:
    first, second, third = saved(owner, versions=3)
    version_damage(second, "gone")
    assert [chains.is_sound(version) for version in (first, second, third)] == [True, False, False]
    assert workspace_get(owner, "w").damage == "gone"
    version_heal(second)
    assert chains.is_sound(third)
    assert workspace_get(owner, "w").damage == ""
