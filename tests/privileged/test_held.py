"""Sandboxes that outlive their scripts: whose disk they write, what they are shown, how they stand still."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostagent.config import Config
from hostagent.drivers.base import Found, Phase
from hostagent.drivers.oci import OciDriver
from hostagent.errors import DriverError
from hostagent.linux import btrfs, cgroup
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Held, Sandboxes, make_spec


def make_volume(driver: OciDriver) -> Path:
    """As a workspace's: made and limited by somebody else."""
    path = driver.host.fs.root / "volume"
    btrfs.subvolume_create(path)
    btrfs.qgroup_limit(path, 64 << 20)
    for name in ("upper", "work"):
        (path / name).mkdir()
    return path


@pytest.fixture
def volume(driver: OciDriver) -> Iterator[Path]:
    path = make_volume(driver)
    yield path
    btrfs.subvolume_destroy(path)


async def test_volume_outlives_its_sandboxes(sandboxes: Sandboxes, volume: Path) -> None:
    async with sandboxes.held(upper=volume) as held:
        await held.run("echo one > /root/file; rm /etc/hostname; mkdir /root/dir")
    async with sandboxes.held(upper=volume) as held:
        run = await held.run("cat /root/file; ls /etc/hostname; touch /root/dir/new")
        assert run.output.stdout == b"one\n"
        assert b"No such file" in run.output.stderr
    run = await sandboxes.run("ls /root/dir", upper=volume)  # not only held ones
    assert run.output.stdout == b"new\n"
    assert (volume / "upper/root/file").read_bytes() == b"one\n"
    assert (volume / "upper/root/file").stat().st_uid == 0


async def test_volume_in_use_is_refused(sandboxes: Sandboxes, volume: Path) -> None:
    async with sandboxes.held(upper=volume) as held:
        with pytest.raises(DriverError, match="is the writable layer of sandbox"):
            await sandboxes.driver.create(make_spec("", upper=volume))
        assert [found.sandbox_id for found in await sandboxes.driver.find()] == [held.sandbox_id]
        assert (await held.run("echo fine > /root/x; cat /root/x")).output.stdout == b"fine\n"


async def test_volumes_limit_is_its_own(sandboxes: Sandboxes, volume: Path) -> None:
    async with sandboxes.held(upper=volume, disk_gb=1) as held:
        run = await held.run("dd if=/dev/zero of=/root/big bs=1M count=100")
        assert (run.exit.exit_code, run.exit.is_disk_full) == (1, True)


async def test_sync_reaches_a_volume_and_not_a_throwaway_layer(sandboxes: Sandboxes, volume: Path) -> None:
    script = "grep -o volatile /proc/self/mounts"
    assert (await sandboxes.run(script)).output.stdout == b"volatile\n"
    async with sandboxes.held(upper=volume) as held:
        assert (await held.run(script)).output.stdout == b""


async def test_what_an_earlier_mount_left_is_not_found(sandboxes: Sandboxes, volume: Path) -> None:
    (volume / "work/work/incompat/volatile").mkdir(parents=True)  # overlay refuses such a directory
    (volume / "work/link").symlink_to(volume / "upper")
    async with sandboxes.held(upper=volume) as held:
        assert (await held.run("echo works > /root/x; cat /root/x")).output.stdout == b"works\n"
    assert sorted(path.name for path in (volume / "work").iterdir()) == ["work"]


async def test_failed_create_and_crash_spare_the_volume(sandboxes: Sandboxes, volume: Path) -> None:
    driver = sandboxes.driver
    (volume / "upper/kept").touch()
    driver._edit_spec = lambda config: config["mounts"].append({"destination": "/x", "type": "nonsense"})
    with pytest.raises(DriverError):
        await driver.create(make_spec("", upper=volume))
    driver._edit_spec = None
    assert await driver.find() == []
    assert (volume / "upper/kept").exists()


@pytest.mark.parametrize("name", ["uploads", "dev", "proc", "run", "root", "etc/hosts"])
async def test_hostile_volume_reaches_nothing_of_the_host(
    sandboxes: Sandboxes, volume: Path, tmp_path: Path, name: str
) -> None:
    """A mount point in it links to a place of the host's. The sandbox is confined, or does not come up."""
    tmp_path.chmod(0o777)  # whoever reached it could write
    (tmp_path / "canary").write_text("host")
    (tmp_path / "canary").chmod(0o666)
    (volume / "upper/etc").mkdir()
    (volume / "upper" / name).symlink_to(f"../../../../../../../..{tmp_path}/canary")
    is_up = False
    with contextlib.suppress(DriverError):
        async with sandboxes.held(upper=volume, uploads=tmp_path) as held:
            is_up = True
            await held.run(f"echo pwned > /{name}; echo pwned > {tmp_path}/canary; touch /uploads/pwned")
    assert is_up == (name == "etc/hosts")  # a file's mount point is made below the sandbox's root
    assert [path.name for path in tmp_path.iterdir()] == ["canary"]
    assert (tmp_path / "canary").read_text() == "host"


async def test_uploads_are_seen_and_not_written(sandboxes: Sandboxes, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "first name").write_bytes(b"one")
    async with sandboxes.held(uploads=tmp_path) as held:
        (tmp_path / "second").write_bytes(b"two")  # a later run's
        run = await held.run("cat /uploads/*; touch /uploads/x; rm -f /uploads/second")
        assert run.output.stdout == b"onetwo"
        assert run.output.stderr.count(b"Read-only file system") == 2
    run = await sandboxes.run("cat '/uploads/first name'", uploads=tmp_path)
    assert run.output.stdout == b"one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first name", "second"]


async def test_held_sandbox_waits_without_work(sandboxes: Sandboxes) -> None:
    async with sandboxes.held() as held:
        await _until_idle(held)
        run = await held.run("ls -l /run/mags/runs/hold; echo x > /run/mags/runs/hold; echo still here")
        assert run.output.stdout.endswith(b"still here\n")
        assert b"ermission denied" in run.output.stderr  # nobody inside can end the wait
        assert [found.phase for found in await held.driver.find()] == [Phase.RUNNING]


async def test_held_sandbox_ends_when_told_or_broken(sandboxes: Sandboxes) -> None:
    async with sandboxes.held() as held:
        await held.run("true")  # so that its init is there to hear
        await held.driver.signal(held.sandbox_id, signal.SIGTERM)
        assert (await asyncio.wait_for(held.driver.wait(held.sandbox_id), 5)).exit_code == 143
    async with sandboxes.held() as held, held.started("kill -9 -1; echo alone; sleep 60") as key:
        assert (await asyncio.wait_for(held.driver.wait(held.sandbox_id), 5)).exit_code == 137
        assert (await held.ended(key, 5)).exit.exit_code == 137


async def test_frozen_sandbox_stands_still(sandboxes: Sandboxes) -> None:
    async with sandboxes.held() as held, held.started("echo up; while :; do :; done") as key:
        driver, sandbox_id = held.driver, held.sandbox_id
        await held.says(key, b"up")
        await driver.freeze(sandbox_id)
        await driver.freeze(sandbox_id)
        used = _cpu_ns(held)
        await asyncio.sleep(0.3)  # it would use that much if it ran
        assert _cpu_ns(held) == used
        assert [found.is_frozen for found in await driver.find()] == [True]
        spec = held.spec("echo late")
        await held.runs.create(spec)
        with pytest.raises(DriverError, match="thaw it first"):
            await held.runs.start(spec.key)
        await driver.thaw(sandbox_id)
        await held.runs.start(spec.key)
        assert (await held.ended(spec.key)).output.stdout == b"late\n"
        assert [found.is_frozen for found in await driver.find()] == [False]
        assert _cpu_ns(held) > used


async def test_frozen_sandbox_is_killed_and_destroyed(sandboxes: Sandboxes) -> None:
    async with sandboxes.held() as held, held.started("echo up; sleep 60") as key:
        await held.says(key, b"up")
        await held.driver.freeze(held.sandbox_id)
        await held.driver.kill(held.sandbox_id)
        assert (await held.ended(key, 5)).exit.exit_code == 137
    async with sandboxes.held() as held:
        await held.driver.freeze(held.sandbox_id)
    assert await sandboxes.driver.find() == []
    with pytest.raises(DriverError, match="cannot freeze"):
        await sandboxes.driver.freeze(held.sandbox_id)


async def _until_idle(held: Held) -> None:
    """Its init may still be on the last steps of its start."""
    before = None
    for _ in range(20):
        if before == (before := _cpu_ns(held)):
            return
        await asyncio.sleep(0.3)
    pytest.fail("it works although it has nothing to do")


def _cpu_ns(held: Held) -> int:
    groups, group = held.driver.host.groups, held.driver.host.group(held.sandbox_id)
    if groups.is_v2:
        return int((groups.path("cpu", group) / "cpu.stat").read_text().split()[1]) * 1000
    return int((groups.path("cpuacct", group) / "cpuacct.usage").read_text())


async def test_successor_knows_what_it_found(config: Config) -> None:
    """Whose disk it is, that it is held, frozen, and what runs in it; and it takes the disk for nobody's but
    its owner's."""
    first, second = OciDriver(config), OciDriver(config)
    await first.open()
    volume = make_volume(first)
    spec = make_spec("", is_held=True, upper=volume)
    await first.create(spec)
    await first.start(spec.sandbox_id)
    held = Held(first, spec.sandbox_id)
    run = held.spec("echo up > /root/file; echo up; exec sleep 60")
    await first.runs.create(run)
    await first.runs.start(run.key)
    await held.says(run.key, b"up")
    await first.freeze(spec.sandbox_id)
    await first.close(everything=False)
    await second.open()
    try:
        (found,) = await second.find()
        assert found == Found(spec.sandbox_id, Phase.RUNNING, True, True, found.runs)
        assert [(r.key, r.phase) for r in found.runs] == [(run.key, Phase.RUNNING)]
        assert second.host.claims[spec.sandbox_id].upper == volume
        await second.thaw(spec.sandbox_id)
        for pid in cgroup.pids(second.host.groups, second.host.group(spec.sandbox_id)):
            if Path(f"/proc/{pid}/comm").read_text() == "sh\n":
                os.kill(pid, signal.SIGKILL)  # as the kernel would for memory
        assert (await asyncio.wait_for(second.wait(spec.sandbox_id), 5)).exit_code == 137
        assert [f.phase for f in await second.find()] == [Phase.EXITED]
        await second.destroy(spec.sandbox_id)
        assert (volume / "upper/root/file").read_bytes() == b"up\n"
        btrfs.subvolume_destroy(volume)
    finally:
        await second.close(everything=True)
    await no_leaks(config)
