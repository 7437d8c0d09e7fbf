"""A btrfs of this run's own in a loop file, and a real SeaweedFS."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest
import pytest_asyncio

from hostagent.linux import btrfs, mount
from hostagent.volumes.objects import Patience, SignedObjects
from hostagent.volumes.store import VolumeStore
from tests.servers import free_ports
from tests.volumes.s3 import BUCKET, S3Server, Signing

DIRECTORY = Path(__file__).parent
FS_BYTES = 16 << 30  # sparse

LOOP_S = 10.0  # a sandbox that was made elsewhere meanwhile may have a copy of the mount until it ends
IMPATIENT = Patience(connect_s=2, stall_s=2, give_up_s=8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(DIRECTORY) and item.get_closest_marker("unprivileged") is None:
            item.add_marker(pytest.mark.privileged)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="VOLUME TESTS NOT RUN: they need root"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    port, *more = free_ports(8)
    with S3Server(port, more) as server:
        _make_bucket(server)
        yield server


def _make_bucket(server: S3Server) -> None:
    deadline = time.monotonic() + 30
    while True:  # the port is open before all of its parts have found each other
        try:
            server.client.create_bucket(Bucket=BUCKET)
            server.overwrite("probe", b"")
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture
def s3(s3_server: S3Server) -> S3Server:
    """The bucket, empty."""
    for name in s3_server.names():
        s3_server.remove(name)
    return s3_server


@pytest.fixture(scope="session")
def file_system() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="mags-volumes-"))
    image, root = directory / "fs.btrfs", directory / "fs"
    root.mkdir()
    with image.open("xb") as file:
        os.ftruncate(file.fileno(), FS_BYTES)
    btrfs.mkfs(image)
    subprocess.run(["mount", "-o", "loop,noatime", image, root], check=True)
    btrfs.quota_enable(root)
    yield root
    unmount(root, image)
    shutil.rmtree(directory)


def unmount(root: Path, image: Path) -> None:
    """Until the loop device is gone, too."""
    mount.umount2(root)
    deadline = time.monotonic() + LOOP_S
    while loops := _loop_devices(image):
        assert time.monotonic() < deadline, loops
        time.sleep(0.05)


def _loop_devices(image: Path) -> str:
    return subprocess.run(["losetup", "-j", image], check=True, capture_output=True, text=True).stdout


@dataclass
class Host:
    """A host's volumes and its way to the bucket."""

    store: VolumeStore
    objects: SignedObjects
    signing: Signing


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
def root(file_system: Path) -> Iterator[Path]:
    """An empty state directory. Afterwards nothing half-made may be in it."""
    path = file_system / uuid4().hex
    path.mkdir()
    yield path
    left = [
        *path.glob("received/*"),
        *path.glob("volumes/*/*/*.new"),
        *path.glob("volumes/*/*/versions/*.new"),
    ]
    wipe(path)
    path.rmdir()
    assert left == []
    assert processes(path) == []


@pytest.fixture
def host(root: Path, s3: S3Server, session: aiohttp.ClientSession) -> Host:
    return make_host(root, s3.signer(), session)


def make_host(root: Path, signing: Signing, session: aiohttp.ClientSession) -> Host:
    store = VolumeStore(root)
    store.open()
    return Host(store, SignedObjects(session, signing, IMPATIENT), signing)


@pytest.fixture
def workspace() -> UUID:
    return uuid4()


def wipe(root: Path) -> None:
    """All state of a host, as on another one."""
    store = VolumeStore(root)
    for tenant, workspace in store.volumes():
        store.volume(tenant, workspace).delete()
    for path in root.iterdir():
        shutil.rmtree(path)


def processes(root: Path) -> list[str]:
    """Those that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(root) in line and b"btrfs" in line.split(b"\0")[0]:
            found.append(line.decode(errors="replace"))
    return found
