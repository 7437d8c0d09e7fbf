"""The life of versions: real saves, chains that begin anew, expiry, collection, a lost database, deletion.
After each of these, whatever is offered is restored as it was."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from django.utils import timezone

from accounts.models import User
from hostagent.volumes.objects import SignedObjects
from hostagent.volumes.restore import restore
from hostagent.volumes.send import Parent, Sent, send
from hostagent.volumes.signing import Signed, SignedPut
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.volume import Pending, Version, Volume
from tests.volumes.conftest import wipe
from tests.volumes.trees import Tree, describe
from tests.workspaces.factories import hold_on, user
from workspaces import chains, keys, models, objectstore
from workspaces.selectors import Hold, workspace_get
from workspaces.services import (
    Commit,
    FullNext,
    full_next,
    objects_collect,
    version_commit,
    versions_expire,
    versions_prune,
    workspace_delete,
    workspace_fork,
    workspace_release,
    workspaces_check,
    workspaces_rebuild,
)
from workspaces.states import VersionReason

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket")]
VERSIONS = int(os.environ.get("VOLUMES_LIFE", "104"))
CHAIN_VERSIONS = 12
FORKED = 30  # the version that a fork begins as
GIB = 1 << 30


class Host:
    """Saves and restores as an agent does, for one owner."""

    def __init__(self, root: Path, owner: User) -> None:
        self.root = root
        self.tenant = keys.tenant(owner.pk)
        self.store = VolumeStore(root)
        self.store.open()

    def save(self, volume: Volume, hold: Hold, made_at: int, *, is_full: bool) -> models.Version:
        head = volume.head
        pending = volume.take(made_at, None)
        assert pending is not None
        parent = pending.parent if not is_full else None
        sent = asyncio.run(self._send(pending, parent))
        commit = Commit(sent.sha256, head, VersionReason.CHECKPOINT, timezone.now(), 1)
        version = version_commit(hold, commit)
        volume.keep(sent.data)
        volume.retain(())
        return version

    def restore(self, version: models.Version) -> Version:
        return asyncio.run(self._restore(version.workspace_id, version.manifest))

    async def _send(self, pending: Pending, parent: Version | None) -> Sent:
        since = Parent(parent.sha256, parent.path) if parent else None
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            objects = SignedObjects(session, self._sign)
            return await send(pending.path, since, objects, made_at=pending.made_at)

    async def _restore(self, workspace: UUID, sha256: str) -> Version:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            objects = SignedObjects(session, self._sign)
            return (await restore(self.store, self.tenant, workspace, sha256, objects)).version

    async def _sign(self, get: Sequence[str], put: Sequence[tuple[str, int]]) -> Signed:
        signed = {name: objectstore.sign_put(self._key(name), name, size) for name, size in put}
        return Signed(
            {name: objectstore.sign_get(self._key(name)) for name in get},
            {name: SignedPut(put.url, put.headers) for name, put in signed.items()},
        )

    def _key(self, sha256: str) -> str:
        return keys.object_key(self.tenant, sha256)


@pytest.fixture
def rules(settings: Any) -> Any:
    settings.CHAIN_VERSIONS = CHAIN_VERSIONS
    settings.VERSIONS_KEPT, settings.VERSIONS_KEPT_DAYS = 5, 30
    settings.COLLECT_GRACE_HOURS = -1
    return settings


def edit(upper: Path, number: int) -> None:
    """Something new, something changed, something gone."""
    (upper / f"file{number}").write_bytes(random.Random(number).randbytes(2000))
    (upper / "last").write_text(str(number))
    (upper / f"file{number - 7}").unlink(missing_ok=True)


def live_through(host: Host, hold: Hold) -> dict[str, Tree]:
    """So many versions, each with what it holds, by its manifest."""
    volume = host.store.create(host.tenant, hold.workspace_id, GIB)
    held: dict[str, Tree] = {}
    is_full = False
    for number in range(VERSIONS):
        edit(volume.live / "upper", number)
        version = host.save(volume, hold, number, is_full=is_full)
        held[version.manifest] = describe(volume.version(version.manifest).path / "upper")
        is_full = full_next(version) is not FullNext.NO
    return held


def restore_all(host: Host, held: dict[str, Tree]) -> int:
    """On an empty host: the newest versions cold, then all others."""
    wipe(host.root)
    host.store.open()
    workspaces = models.Workspace.objects.filter(deleted_at__isnull=True)
    offered = models.Version.objects.filter(expired_at__isnull=True, workspace__in=workspaces)
    newest = [workspace.head for workspace in workspaces if workspace.head]
    for version in (*newest, *offered.order_by("number")):
        restored = host.restore(version)
        assert describe(restored.path / "upper") == held[version.manifest], version
    return offered.count()


def in_the_bucket(owner: User) -> set[str]:
    return {entry.key for entry in objectstore.walk(f"{keys.tenant(owner.pk)}/")}


def grow_old(*young: models.Version) -> None:
    old = timezone.now() - timedelta(days=31)
    models.Version.objects.exclude(pk__in=[version.pk for version in young]).update(committed_at=old)


def collect(owner: User) -> None:
    """Expire, prune and collect; then nothing is there that no version names."""
    versions_expire()
    versions_prune()
    objects_collect()
    names = {key.rpartition("/")[2] for key in in_the_bucket(owner) if "/objects/" in key}
    assert names == set(models.StoredObject.objects.values_list("sha256", flat=True))
    assert not models.StoredObject.objects.filter(uses__isnull=True).exists()


def test_whatever_is_offered_is_restored_at_any_time(root: Path, rules: Any) -> None:
    owner = user()
    hold = hold_on(owner)
    host = Host(root, owner)
    held = live_through(host, hold)
    made = list(models.Version.objects.order_by("number"))
    lengths = [len(chains.chain(version.pk)) for version in made]
    assert max(lengths) == CHAIN_VERSIONS + 1  # the full one, and those that weigh enough
    assert lengths.count(1) == -(-VERSIONS // (CHAIN_VERSIONS + 1))
    workspace_release(hold)
    source = workspace_get(owner, "w")
    workspace_fork(owner, source, "f", number=FORKED)

    before = in_the_bucket(owner)
    grow_old()
    collect(owner)
    left = set(models.Version.objects.values_list("number", flat=True))
    assert FORKED + CHAIN_VERSIONS * 2 not in left  # neither offered nor built on
    assert len(in_the_bucket(owner)) < len(before) // 2
    count = restore_all(host, held)
    assert count <= 5 + 2 * CHAIN_VERSIONS
    assert workspaces_check().findings == []

    for model in (models.VersionObject, models.Workspace, models.StoredObject):
        model.objects.all().delete()
    assert not models.Version.objects.exists()
    rebuilt = workspaces_rebuild()
    assert (rebuilt.workspaces, rebuilt.problems) == (2, [])
    restore_all(host, held)
    assert workspaces_check().findings == []

    workspace_delete(workspace_get(owner, "w"))
    host.store.volume(host.tenant, source.pk).delete()
    assert not (root / "volumes" / host.tenant / str(source.pk)).exists()
    collect(owner)
    assert restore_all(host, held) == 1  # the fork's own
    workspace_delete(workspace_get(owner, "f"))
    collect(owner)
    assert in_the_bucket(owner) == set()
    assert not models.Version.objects.exists()
