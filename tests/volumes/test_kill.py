"""SIGKILL at any moment of a save or a restore, by an agent in a process of its own."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from hostagent.volumes.restore import restore
from tests.servers import REPOSITORY
from tests.volumes.conftest import Host, processes, wipe
from tests.volumes.s3 import S3Server
from tests.volumes.saving import TENANT, save, send_pending
from tests.volumes.trees import describe

GIB = 1 << 30
KILLS = int(os.environ.get("VOLUMES_KILLS", "30"))  # of each kind
LONGEST_S = 0.25  # about how long one takes on a busy machine
SEGMENTS = 2


class Doomed:
    """Begins and kills."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "tests.volumes.doomed", str(port)]
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._longest_s = LONGEST_S

    def kill(self, what: str, root: Path, workspace: UUID, head: str, chance: random.Random) -> bool:
        """At some moment of it. Whether it was still at it then: a moment that comes too late on this machine
        is not tried again."""
        moment_s = chance.uniform(0, self._longest_s)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {root} {workspace} {head}\n")
        self._process.stdin.flush()
        fd = os.pidfd_open(int(self._process.stdout.readline()))
        begun = time.monotonic()
        try:
            if select.select([fd], [], [], moment_s)[0]:
                self._longest_s = min(self._longest_s, time.monotonic() - begun)
                return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            select.select([fd], [], [])
            return True
        finally:
            os.close(fd)

    def close(self) -> None:
        self._process.terminate()
        with self._process:
            pass


@pytest.fixture
def doomed(s3: S3Server) -> Iterator[Doomed]:
    doomed = Doomed(s3.port)
    yield doomed
    doomed.close()


def no_processes(root: Path) -> None:
    """Those of the killed one end when they miss their pipes' other ends."""
    deadline = time.monotonic() + 10
    while left := processes(root):
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def noise(path: Path, seed: int) -> None:
    path.write_bytes(random.Random(seed).randbytes((SEGMENTS - 1) * (8 << 20) + 1000))


async def test_a_killed_save_is_resumed_as_the_same_version(
    host: Host, root: Path, s3: S3Server, doomed: Doomed, workspace: UUID
) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    noise(volume.live / "upper/data", 1)
    pending = volume.take(1, None)
    expected = await send_pending(volume, host.objects)
    assert pending is not None
    expected.path.rename(pending.path)  # as before it was kept
    volume.make_live(None, GIB)
    chance = random.Random(1)
    interrupted = 0
    for _ in range(KILLS):
        for name in s3.names():
            s3.remove(name)
        (volume.path / "pending.json").write_text('{"parent":null,"made_at":1,"image":null}')
        interrupted += doomed.kill("save", root, workspace, "-", chance)
        no_processes(root)
        host.store.open()
        if volume.pending() is not None:
            assert not volume.has(expected.sha256)
            version = await send_pending(volume, host.objects)
        else:
            version = volume.version(expected.sha256)  # it was done
        assert version.sha256 == expected.sha256
        assert {expected.sha256, *(s.sha256 for s in expected.manifest.segments)} == set(s3.names())
        version.path.rename(pending.path)
    assert interrupted > KILLS // 3, interrupted
    volume.drop()


async def test_a_killed_restore_leaves_nothing_half_made(
    host: Host, root: Path, s3: S3Server, doomed: Doomed, workspace: UUID
) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    noise(volume.live / "upper/data", 1)
    await save(host.objects, volume)
    (volume.live / "upper/more").write_bytes(b"more")
    head = await save(host.objects, volume)
    before = describe(head.path / "upper")
    chance = random.Random(2)
    interrupted = 0
    for _ in range(KILLS):
        wipe(root)
        interrupted += doomed.kill("restore", root, workspace, head.sha256, chance)
        no_processes(root)
        host.store.open()
        assert list((root / "received").iterdir()) == []
        assert volume.exists == volume.has(head.sha256) or volume.local_versions() == []
    assert interrupted > KILLS // 3, interrupted
    restored = await restore(host.store, TENANT, workspace, head.sha256, host.objects)
    assert describe(restored.version.path / "upper") == before


async def test_killed_before_the_new_live_had_its_name(host: Host, workspace: UUID) -> None:
    volume = host.store.create(TENANT, workspace, GIB)
    (volume.live / "upper/file").write_text("kept")
    version = await save(host.objects, volume)
    volume.make_live(volume.version(version.sha256), GIB)
    volume.live.rename(volume.path / "live.new")
    host.store.open()
    assert (volume.live / "upper/file").read_text() == "kept"
    assert not list(volume.path.glob("live.*"))
