"""The object store misbehaves: what is acknowledged is there, and the next try goes on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import User
from core.errors import MagsError
from tests.workspaces.factories import commit_of, hold_on, put, snapshot, user
from tests.workspaces.faults import FaultyWay, faulty_way, sometimes
from workspaces import keys, objectstore
from workspaces.chains import chain
from workspaces.errors import MissingObjects, ObjectStoreUnavailable
from workspaces.models import Version
from workspaces.selectors import Hold, workspace_get
from workspaces.services import version_commit, workspaces_check

pytestmark = [pytest.mark.django_db(transaction=True)]
FAULTS = ["500", "lost", "cut", 0.3]


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def way(bucket: str, settings: Any) -> Iterator[FaultyWay]:
    with faulty_way(settings.S3_ENDPOINT) as server:
        settings.S3_ENDPOINT = server.url
        yield server


@pytest.fixture
def hold(owner: User) -> Hold:
    return hold_on(owner)


def is_published(owner: User, hold: Hold, version: Version) -> bool:
    """The version and its record are in the bucket."""
    tenant = keys.tenant(owner.pk)
    objects = [objectstore.size_of(keys.object_key(tenant, row.sha256)) for row in version.needs.all()]
    record = objectstore.size_of(keys.record_key(owner.pk, hold.workspace_id, version.number))
    return all(size is not None for size in [*objects, record])


@pytest.mark.parametrize("fault", FAULTS)
def test_now_and_then_a_request_fails(owner: User, hold: Hold, way: FaultyWay, fault: Any) -> None:
    """It is repeated, and nobody sees it. A put whose answer was lost finds its own object."""
    way.fault = sometimes(fault, 2)
    made = snapshot()
    put(owner, made)
    version = version_commit(hold, commit_of(made))
    way.fault = lambda _: None
    assert is_published(owner, hold, version)


@pytest.mark.parametrize("fault", ["500", "lost"])
def test_all_requests_fail(owner: User, hold: Hold, way: FaultyWay, fault: str) -> None:
    made = snapshot()
    put(owner, made)
    way.fault = lambda _: fault
    with pytest.raises(ObjectStoreUnavailable):
        version_commit(hold, commit_of(made))
    way.fault = lambda _: None
    assert version_commit(hold, commit_of(made)).number == 1


def test_the_record_is_lost_and_the_version_waits_for_it(owner: User, hold: Hold, way: FaultyWay) -> None:
    made = snapshot()
    put(owner, made)
    way.fault = lambda request: "500" if request.command == "PUT" else None
    with pytest.raises(ObjectStoreUnavailable):
        version_commit(hold, commit_of(made))
    version = Version.objects.get()
    assert version.durable_at is None  # the host has no receipt, and keeps its data
    way.fault = lambda _: None
    again = version_commit(hold, commit_of(made))
    assert (again.pk, again.durable_at is not None) == (version.pk, True)
    assert is_published(owner, hold, version)


@pytest.mark.parametrize("seed", range(4))
def test_syncs_over_a_bad_way(owner: User, hold: Hold, way: FaultyWay, seed: int) -> None:
    """Half of all requests go wrong somehow. What was acknowledged is a whole chain, in order."""
    chance = random.Random(seed)
    acknowledged: list[str] = []
    for _ in range(6):
        parent = acknowledged[-1] if acknowledged else None
        made = snapshot(parent=parent)
        way.fault = lambda _: chance.choice([*FAULTS[:3], None, None, None])
        while True:
            try:
                put(owner, made)
                version = version_commit(hold, commit_of(made, parent))
                break
            except MissingObjects:
                continue
            except MagsError as error:
                assert error.status == 503, error  # noqa: PT017 - any other one is a failure
        assert version.durable_at is not None
        acknowledged.append(version.manifest)
    way.fault = lambda _: None
    head = workspace_get(owner, "w").head
    assert head is not None
    assert [version.manifest for version in chain(head.pk)] == acknowledged
    assert workspaces_check().findings == []
