"""The bucket answers badly, or has been tampered with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio

from hostagent.errors import ApiError, Unreachable
from hostagent.volumes import manifest as manifests
from hostagent.volumes.errors import Damaged, StorageUnavailable
from hostagent.volumes.objects import Patience, SignedObjects
from hostagent.volumes.restore import restore
from hostagent.volumes.send import send
from hostagent.volumes.signing import Signed
from hostagent.volumes.volume import Version, Volume
from tests.volumes.conftest import Host, make_host, processes, wipe
from tests.volumes.proxy import FaultyProxy
from tests.volumes.s3 import S3Server
from tests.volumes.saving import TENANT, save
from tests.volumes.trees import describe

GIB = 1 << 30
PIECES = 2


@pytest_asyncio.fixture
async def proxy(s3: S3Server, session: aiohttp.ClientSession) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(s3.port, session) as proxy:
        yield proxy


def fill(volume: Volume, seed: int = 1) -> None:
    """Two segments of what does not compress."""
    import random

    data = random.Random(seed).randbytes((PIECES - 1) * (8 << 20) + (1 << 20))
    (volume.live / "upper/data").write_bytes(data)


@pytest.mark.parametrize("fault", ["500", "503", "403", "reset", "lost"])
async def test_a_save_goes_on_through_faults(
    root: Path, s3: S3Server, session: aiohttp.ClientSession, proxy: FaultyProxy, workspace: UUID, fault: str
) -> None:
    host = make_host(root, s3.signer(proxy.port), session)
    volume = host.store.create(TENANT, workspace, GIB)
    fill(volume)
    proxy.fault = lambda _, number: fault if number % 2 else None
    version = await save(host.objects, volume)
    assert sorted(s3.names()) == sorted([version.sha256, *(s.sha256 for s in version.manifest.segments)])
    assert proxy.count > PIECES + 1
    if fault == "lost":
        assert 412 in proxy.statuses  # it was stored by the attempt whose answer was lost


@pytest.mark.parametrize("fault", ["500", "reset", "short", "403"])
async def test_a_restore_goes_on_through_faults(
    root: Path, s3: S3Server, session: aiohttp.ClientSession, proxy: FaultyProxy, workspace: UUID, fault: str
) -> None:
    host = make_host(root, s3.signer(proxy.port), session)
    volume = host.store.create(TENANT, workspace, GIB)
    fill(volume)
    version = await save(host.objects, volume)
    before = describe(version.path / "upper")
    wipe(root)
    host.store.open()
    proxy.fault = lambda _, number: fault if number % 2 else None
    restored = await restore(host.store, TENANT, workspace, version.sha256, host.objects)
    assert describe(restored.version.path / "upper") == before


async def test_a_dead_bucket_is_given_up_and_the_save_resumed_later(
    root: Path, s3: S3Server, session: aiohttp.ClientSession, proxy: FaultyProxy, workspace: UUID
) -> None:
    host = make_host(root, s3.signer(proxy.port), session)
    volume = host.store.create(TENANT, workspace, GIB)
    fill(volume)
    patience = Patience(connect_s=1, stall_s=1, give_up_s=1)
    objects = SignedObjects(session, s3.signer(proxy.port), patience)
    proxy.fault = lambda _, number: None if number <= 2 else "stall"
    pending = volume.take(1, None)
    assert pending is not None
    with pytest.raises(StorageUnavailable):
        await send(pending.path, None, objects, made_at=1)
    assert processes(root) == []
    stored = set(s3.names())
    assert stored
    proxy.fault = lambda _, number: None
    proxy.statuses.clear()
    version = await save(host.objects, volume)
    assert stored <= {segment.sha256 for segment in version.manifest.segments}
    assert proxy.statuses.count(412) == len(stored)


async def test_a_lost_lease_ends_the_save_at_once(
    root: Path, s3: S3Server, session: aiohttp.ClientSession, workspace: UUID
) -> None:
    async def refuse(*_: object) -> Signed:
        raise ApiError(409, "stale_lease", "another host has it")

    host = make_host(root, s3.signer(), session)
    volume = host.store.create(TENANT, workspace, GIB)
    pending = volume.take(1, None)
    assert pending is not None
    with pytest.raises(ApiError, match="stale_lease"):
        await send(pending.path, None, SignedObjects(session, refuse), made_at=1)
    assert processes(root) == []


async def test_an_unreachable_control_plane_is_waited_for(
    root: Path, s3: S3Server, session: aiohttp.ClientSession, workspace: UUID
) -> None:
    signing = s3.signer()
    calls = 0

    async def late(get: object, put: object) -> Signed:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise Unreachable("restarting")
        return await signing(get, put)  # type: ignore[arg-type]

    host = make_host(root, signing, session)
    volume = host.store.create(TENANT, workspace, GIB)
    pending = volume.take(1, None)
    assert pending is not None
    sent = await send(pending.path, None, SignedObjects(session, late), made_at=1)
    assert sent.sha256 in s3.names()


def flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("damage", [flipped, truncated, None])
@pytest.mark.parametrize("which", ["first", "last", "manifest", "parent", "manifest of the parent"])
async def test_damage_is_found_before_anything_is_visible(
    host: Host, root: Path, s3: S3Server, workspace: UUID, which: str, damage: Callable[[bytes], bytes] | None
) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    fill(volume)
    parent = await save(host.objects, volume)
    (volume.live / "upper/more").write_bytes(b"more")
    child = await save(host.objects, volume)
    victim, version = {
        "first": (parent.manifest.segments[0].sha256, parent),
        "last": (parent.manifest.segments[-1].sha256, parent),
        "manifest": (child.sha256, child),
        "parent": (child.manifest.segments[0].sha256, child),
        "manifest of the parent": (parent.sha256, parent),
    }[which]
    harm(s3, victim, damage)
    wipe(root)
    host.store.open()
    with pytest.raises(Damaged) as caught:
        await restore(host.store, TENANT, workspace, child.sha256, host.objects)
    assert (caught.value.version, caught.value.object) == (version.sha256, victim)
    assert host.store.find(TENANT, child.sha256) is None
    assert host.store.find(TENANT, parent.sha256) is None
    assert not volume.exists


def harm(s3: S3Server, victim: str, damage: Callable[[bytes], bytes] | None) -> None:
    data = s3.body(victim)
    s3.remove(victim)
    if damage is not None:
        s3.overwrite(victim, damage(data))


async def test_a_lie_in_a_manifest_is_found_by_the_sum_of_the_stream(
    host: Host, root: Path, s3: S3Server, workspace: UUID
) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    version = await save(host.objects, volume)
    data = manifests.encode(manifests.decode(s3.body(version.sha256)))
    lie = data.replace(version.manifest.raw_sha256.encode(), b"0" * 64)
    s3.overwrite(manifests.name(lie), lie)
    wipe(root)
    host.store.open()
    with pytest.raises(Damaged, match="another sha256"):
        await restore(host.store, TENANT, workspace, manifests.name(lie), host.objects)
    assert not volume.exists


async def test_a_cancelled_save_and_restore_leave_nothing(
    root: Path, s3: S3Server, session: aiohttp.ClientSession, proxy: FaultyProxy, workspace: UUID
) -> None:
    host = make_host(root, s3.signer(proxy.port), session)
    volume = host.store.create(TENANT, workspace, GIB)
    fill(volume)
    version: Version = await save(host.objects, volume)
    pending_path = version.path
    proxy.fault = lambda request, _: "stall" if request.method == "PUT" else None
    await cancelled(send(pending_path, None, host.objects, made_at=2))
    assert processes(root) == []
    wipe(root)
    host.store.open()
    seen = 0

    def stall_later(_: object, number: int) -> str | None:
        nonlocal seen
        seen += 1
        return "stall" if seen > 2 else None

    proxy.fault = stall_later
    await cancelled(restore(host.store, TENANT, workspace, version.sha256, host.objects))
    assert processes(root) == []
    assert list((root / "received").iterdir()) == []
    assert not volume.exists


async def cancelled(work: object) -> None:
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    await asyncio.wait([task], timeout=0.5)  # it hangs by now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
