"""A host's images and the registry: put from one file system, fetched into another, checked on the way."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
import structlog

from hostagent import library as libraries
from hostagent.client import Client
from hostagent.config import Config
from hostagent.drivers import builds
from hostagent.drivers.oci import OciDriver
from hostagent.drivers.statefs import StateFs, close_state, open_state
from hostagent.errors import DriverError, ImageMissing
from hostagent.images import import_image
from hostagent.images.store import publish
from hostagent.imagewire import Build
from hostagent.library import Library
from hostagent.linux import btrfs
from hostagent.sandbox import Sandbox
from hostagent.uploads import Uploads
from hostagent.volumes import manifest as manifests
from hostagent.volumes.store import VolumeStore
from hostagent.wire import Assignment
from tests.agent.bucket import Bucket
from tests.privileged.conftest import make_config
from tests.privileged.registry import FakeRegistry
from tests.privileged.roots import make_root, make_tarball
from tests.privileged.sandbox import Output, new_id
from tests.workspaces import seaweed


@pytest.fixture(scope="module")
def bucket() -> Bucket:
    return Bucket(seaweed.running().url)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StateFs, StateFs]]:
    """The state file systems of a host that builds and of one that has nothing."""
    configs = [make_config(tmp_path_factory.mktemp(name), state_image_gb=4) for name in ("a", "b")]
    found = [open_state(config) for config in configs]
    for fs in found:
        VolumeStore(fs.root).open()
    yield found[0], found[1]
    for config in configs:
        close_state(config)


@pytest_asyncio.fixture
async def registry(bucket: Bucket) -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry(bucket).running() as running:
        yield running


@pytest_asyncio.fixture
async def client(registry: FakeRegistry) -> AsyncIterator[Client]:
    async with Client(registry.url, "k" * 20) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left(hosts: tuple[StateFs, StateFs]) -> Iterator[None]:
    yield
    for fs in hosts:
        assert VolumeStore(fs.root).volumes() == []
        assert list((fs.root / "received").iterdir()) == []
        for path in fs.images.iterdir():
            btrfs.subvolume_destroy(path)


def build_on(fs: StateFs, name: str, build: str) -> Path:
    """A build of 9 MB that does not compress: two segments."""
    tree = fs.root / f"tree-{build}"
    btrfs.subvolume_create(tree)
    (tree / "etc").mkdir()
    (tree / "blob").write_bytes(os.urandom(9 << 20))
    (tree / "odd\nname").symlink_to("/etc/shadow")
    os.setxattr(tree / "blob", "user.kept", b"\x00yes")
    os.chown(tree / "blob", 1234, 65533)
    (tree / builds.BUILD_FILE).write_text(f"{build}\n")
    publish(tree, fs.images / name)
    btrfs.subvolume_destroy(tree)
    return fs.images / name


def require_same(one: Path, other: Path) -> None:
    subprocess.run(["diff", "--recursive", "--no-dereference", one, other], check=True)


async def test_build_is_the_same_elsewhere(
    hosts: tuple[StateFs, StateFs], client: Client, registry: FakeRegistry
) -> None:
    a, b = hosts
    path = build_on(a, "tiny", "one")
    pushed = await Library(a.root, client).push("tiny")
    assert (pushed.build, pushed.made_at) == ("one", builds.made_at(path))
    assert await Library(a.root, client).push("tiny", "one") == pushed
    other = Library(b.root, client)
    with pytest.raises(ImageMissing, match="no image tiny"):
        await other.have("tiny")
    other.learn([pushed])
    assert await asyncio.gather(*(other.have("tiny") for _ in range(5))) == ["one"] * 5
    assert len(registry.fetched) == len(set(registry.fetched)), "something was fetched twice"
    require_same(path, b.images / "tiny")
    arrived = b.images / "tiny/blob"
    assert (arrived.stat().st_uid, arrived.stat().st_gid) == (1234, 65533)
    assert os.getxattr(arrived, "user.kept") == b"\x00yes"
    with pytest.raises(OSError, match="Read-only"):
        (b.images / "tiny/probe").touch()
    assert builds.made_at(b.images / "tiny") == pushed.made_at


async def test_sandbox_waits_until_its_image_is_here(
    hosts: tuple[StateFs, StateFs], client: Client, config: Config, driver: OciDriver, tmp_path: Path
) -> None:
    own = config.state_dir / "fs"
    VolumeStore(own).open()
    root = make_root(own / "images/standard", tmp_path / "root", "from afar")
    tarball = make_tarball(root, tmp_path / "tar")
    import_image(hosts[0].images, "afar", str(tarball), limit_bytes=1 << 30)
    library = Library(own, client)
    library.learn([await Library(hosts[0].root, client).push("afar")])
    uploads = Uploads(tmp_path / "uploads", lambda: client.storage)
    sandbox_id = new_id()
    sandbox = Sandbox(driver, library, sandbox_id, uploads, structlog.get_logger())
    wanted = {
        "lease_id": 1, "lease_epoch": 1, "revision": 1, "wish": "run", "sandbox_id": sandbox_id,
        "job_id": "1", "tenant": "u1",
        "script": "read -r line < /marker; echo $line", "image": "afar", "vcpus": 1,
        "memory_mb": 256, "disk_gb": 1, "assigned_at": 1,
    }  # fmt: skip
    try:
        await sandbox.create(msgspec.convert(wanted, Assignment))
        await sandbox.start()
        assert (await sandbox.wait()).exit_code == 0
        assert Output.read(sandbox.spool_path).text == "from afar\n"
        other = msgspec.convert(wanted | {"image": "nowhere", "sandbox_id": new_id()}, Assignment)
        with pytest.raises(ImageMissing, match="none is published"):
            await sandbox.create(other)
    finally:
        await sandbox.destroy()
        btrfs.subvolume_destroy(own / "images/afar")


async def test_pinned_build_is_fetched_beside_and_the_head_takes_its_place(
    hosts: tuple[StateFs, StateFs], client: Client
) -> None:
    a, b = hosts
    pushed = []
    for build in ("one", "two"):
        build_on(a, "tiny", build)
        pushed.append(await Library(a.root, client).push("tiny"))
    other = Library(b.root, client)
    other.learn([pushed[1]])
    # At once: a sandbox wants the head's very build, the background the head.
    await asyncio.gather(
        other.have("tiny", "two"), other.keep_up(may_publish=False), other.have("tiny", "one")
    )
    assert builds.build_of(b.images / "tiny") == "two"
    assert builds.find(b.images, "tiny", "one") == b.images / "tiny@one"


async def test_host_that_may_publish_keeps_what_is_newer(
    hosts: tuple[StateFs, StateFs], client: Client
) -> None:
    a, b = hosts
    build_on(a, "tiny", "one")
    old = await Library(a.root, client).push("tiny")
    build_on(b, "tiny", "two")
    build_on(b, "mine", "three")
    mine = Library(b.root, client)
    mine.learn([old])
    assert sorted(await mine.keep_up(may_publish=True)) == ["mine", "tiny"]
    assert builds.build_of(b.images / "tiny") == "two"
    newer = msgspec.structs.replace(old, made_at=old.made_at + 3_600_000)
    mine.learn([newer])
    assert await mine.keep_up(may_publish=True) == ["mine"]
    assert builds.build_of(b.images / "tiny") == "one"
    assert builds.find(b.images, "tiny", "two") is not None


@pytest.mark.parametrize("which", ["manifest", "segment"])
async def test_damage_in_the_store_installs_nothing(
    hosts: tuple[StateFs, StateFs], client: Client, bucket: Bucket, which: str
) -> None:
    a, b = hosts
    build_on(a, "tiny", which)
    pushed = await Library(a.root, client).push("tiny")
    manifest = manifests.decode(bucket.get(pushed.manifest))
    name = pushed.manifest if which == "manifest" else manifest.segments[1].sha256
    body = bytearray(bucket.get(name))
    body[len(body) // 2] ^= 1
    bucket.overwrite(name, bytes(body))
    other = Library(b.root, client)
    other.learn([pushed])
    with pytest.raises(DriverError, match=f"build {which} could not be fetched"):
        await other.have("tiny")
    assert list(b.images.iterdir()) == []


async def test_build_that_says_it_is_another_is_not_taken(
    hosts: tuple[StateFs, StateFs], client: Client
) -> None:
    a, b = hosts
    build_on(a, "tiny", "one")
    pushed = await Library(a.root, client).push("tiny")
    other = Library(b.root, client)
    other.learn([msgspec.structs.replace(pushed, build="two")])
    with pytest.raises(DriverError, match="says that it is another one"):
        await other.have("tiny")
    assert list(b.images.iterdir()) == []


async def test_registry_that_is_away_is_asked_again(
    hosts: tuple[StateFs, StateFs], client: Client, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = hosts
    build_on(a, "tiny", "one")
    await Library(a.root, client).push("tiny")
    registry.is_away = True
    asking = asyncio.create_task(Library(b.root, client).have("tiny", "one"))
    await asyncio.sleep(0)
    registry.is_away = False
    assert await asking == "one"
    registry.is_away = True
    monkeypatch.setattr(libraries, "ASK_S", 0.2)
    with pytest.raises(DriverError, match="does not answer"):
        await Library(b.root, client).have("tiny", "two")
    registry.is_away = False
    with pytest.raises(ImageMissing, match="neither on this host nor published"):
        await Library(b.root, client).have("tiny", "two")


async def test_rest_of_a_killed_fetch_goes_at_the_start(
    hosts: tuple[StateFs, StateFs], client: Client
) -> None:
    store = VolumeStore(hosts[1].root)
    store.volume("images", uuid4()).make()
    own = store.create("u1", uuid4(), 1 << 30)
    await Library(hosts[1].root, client).open()
    assert [tenant for tenant, _ in store.volumes()] == ["u1"]
    own.delete()


def test_names_from_the_server_are_checked() -> None:
    good = {"image": "tiny", "build": "one", "manifest": "0" * 64, "made_at": 1}
    msgspec.convert(good, Build)
    for wrong in (
        {"image": "../x"},
        {"image": "a@b"},
        {"build": "../x"},
        {"build": "a/b"},
        {"manifest": "x"},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(good | wrong, Build)
