"""What the driver makes on a host besides sandboxes: state file system, cgroups, watches."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hostagent.config import Config
from hostagent.drivers import owner
from hostagent.drivers.oci import OciDriver
from hostagent.drivers.statefs import close_state, open_state
from hostagent.errors import ConfigError, DriverError
from hostagent.linux import btrfs, cgroup, files, notify, process
from tests.privileged.leaks import leaks, no_leaks
from tests.privileged.sandbox import Sandboxes, make_spec


async def test_close_everything_ends_running_sandboxes(config: Config) -> None:
    driver = OciDriver(config)
    await driver.open()
    for _ in range(2):
        spec = make_spec("sleep 60")
        await driver.create(spec)
        await driver.start(spec.sandbox_id)
    await driver.create(make_spec("true"))
    assert leaks(config) != []
    await driver.close(everything=True)
    await no_leaks(config)


async def test_failed_open_leaves_no_process(config: Config) -> None:
    driver = OciDriver(dataclasses.replace(config, network4="10.0.0.0/31"))
    with pytest.raises(ConfigError):
        await driver.open()
    assert [line for line in leaks(config) if line.startswith("process")] == []
    again = OciDriver(config)
    await again.open()
    await again.close(everything=True)
    await no_leaks(config)


async def test_another_agent_of_the_same_name_touches_nothing(
    config: Config, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    spec = make_spec("sleep 60")
    await sandboxes.driver.create(spec)
    await sandboxes.driver.start(spec.sandbox_id)
    other = OciDriver(dataclasses.replace(config, state_dir=tmp_path))
    with pytest.raises(DriverError, match=r"MAGS_AGENT_INSTANCE"):
        await other.open()
    assert list(tmp_path.iterdir()) == []
    assert [found.sandbox_id for found in await sandboxes.driver.find()] == [spec.sandbox_id]
    await sandboxes.driver.destroy(spec.sandbox_id)


@pytest.mark.parametrize("first", [1 << 20, 1 << 31, (1 << 32) - 65_536])
def test_files_are_made_under_any_id(tmp_path: Path, first: int) -> None:
    tmp_path.chmod(0o777)
    directory = os.open(tmp_path, os.O_PATH)

    def make() -> None:  # in a thread: these ids are a thread's
        process.set_fs_ids(first, first)
        os.close(os.open("file", os.O_CREAT, dir_fd=directory))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(make).result()
    os.close(directory)
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == (first, first)


def test_a_name_is_free_again_when_its_owners_files_are_gone(tmp_path: Path) -> None:
    name = f"o{os.getpid():x}"[:8]
    (tmp_path / "a").mkdir()
    owner.claim(name, tmp_path / "a")
    try:
        with pytest.raises(DriverError, match=r"MAGS_AGENT_INSTANCE"):
            owner.claim(name, tmp_path / "b")
        (tmp_path / "a").rmdir()
        owner.claim(name, tmp_path / "b")
    finally:
        (owner.RUN / name / owner.OWNER).unlink()
        (owner.RUN / name).rmdir()


@pytest.mark.parametrize("setting", ["runtime", "conmon", "init", "ca_bundle"])
async def test_missing_program_is_named_with_its_remedy(config: Config, setting: str) -> None:
    broken = {"runtime": "no-such-thing", "conmon": "no-such-thing", "init": "/no-such-thing"}
    with pytest.raises(ConfigError, match=r"no-such-thing[\s\S]*apt-get install"):
        await OciDriver(
            dataclasses.replace(config, **{setting: broken.get(setting, "/no-such-thing")})
        ).open()


async def test_sandbox_without_the_hosts_certificates(config: Config) -> None:
    driver = OciDriver(dataclasses.replace(config, ca_bundle=""))
    await driver.open()
    try:
        run = await Sandboxes(driver).run("env | grep -c mags; ls /run/mags")
        assert run.output.stdout.split() == [b"0", b"init", b"script"]
    finally:
        await driver.close(everything=True)


async def test_images_are_listed(driver: OciDriver) -> None:
    assert await driver.images() == ["standard"]


async def test_other_users_of_the_host_cannot_reach_a_sandboxes_files(sandboxes: Sandboxes) -> None:
    """On disk its root's files are root's: a set-user-id one must be out of everybody's reach."""
    async with sandboxes.started(
        "cp /bin/true /root/x; chmod 4755 /root /root/x; echo up; sleep 60"
    ) as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        path = sandboxes.driver.host.bundle(sandbox_id).upper / "upper/root/x"
        assert path.stat().st_mode & 0o4755 == 0o4755
        ancestor = sandboxes.driver.host.config.state_dir
        ancestor.chmod(0o755)
        assert "ermission denied" in _as_nobody(f"exec {path}")
        assert {"fs", "fs.btrfs"} <= set(_as_nobody(f"ls {ancestor}").split())


def _as_nobody(command: str) -> str:
    # The shell in between matters: setpriv itself still has root's capabilities when it looks up its program.
    argv = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "sh",
        "-c",
        f"{command} 2>&1",
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


async def test_tenants_image_goes_when_nobody_uses_it(sandboxes: Sandboxes) -> None:
    driver = sandboxes.driver
    async with sandboxes.started("sleep 60", tenant="u7") as sandbox_id:
        used = driver.host.claims[sandbox_id].lower
        driver.host.images.remove_unused([used], unused_s=0)
        assert used.exists()
        assert used.is_relative_to(driver.host.fs.tenants / "u7")
    driver.host.images.remove_unused([], unused_s=600)
    assert used.exists()
    driver.host.images.remove_unused([], unused_s=0)
    assert list(driver.host.fs.tenants.iterdir()) == []


async def test_tenants_image_follows_the_image(sandboxes: Sandboxes) -> None:
    """A rebuilt image is another subvolume; sandboxes that run keep the one they have."""
    images, driver = sandboxes.driver.host.fs.images, sandboxes.driver
    btrfs.subvolume_snapshot(images / "standard", images / "changing", is_read_only=True)
    before = driver.host.images.lower("u1", "changing")
    btrfs.subvolume_destroy(images / "changing")
    btrfs.subvolume_snapshot(images / "standard", images / "changing", is_read_only=True)
    assert driver.host.images.lower("u1", "changing") != before
    btrfs.subvolume_destroy(images / "changing")
    with pytest.raises(DriverError, match="no image"):
        driver.host.images.lower("u1", "changing")


async def test_quota_groups_of_removed_subvolumes_go(sandboxes: Sandboxes) -> None:
    await sandboxes.run("true")
    driver = sandboxes.driver
    _wait_for_dropped_subvolumes(driver.host.fs.root)
    driver.host.remove_qgroups()
    assert driver.host._stale_qgroups == set()
    groups = Path(f"/sys/fs/btrfs/{btrfs.uuid(driver.host.fs.root)}/qgroups")
    limited = [path for path in groups.glob("0_*") if int((path / "max_referenced").read_text())]
    assert limited == []


def _wait_for_dropped_subvolumes(root: Path) -> None:
    # A commit wakes the cleaner, which waits for half a minute otherwise; another one does the accounting.
    for command in (["filesystem", "sync"], ["subvolume", "sync"], ["filesystem", "sync"]):
        subprocess.run(["btrfs", *command, root], check=True, capture_output=True)


async def test_state_on_btrfs_needs_no_loop_device(driver: OciDriver) -> None:
    config = dataclasses.replace(driver.host.config, state_dir=driver.host.fs.root / "another")
    fs = open_state(config)
    try:
        assert not (config.state_dir / "fs.btrfs").exists()
        assert btrfs.uuid(fs.root) == btrfs.uuid(driver.host.fs.root)
    finally:
        close_state(config)
        for directory in sorted(config.state_dir.rglob("*"), reverse=True):
            directory.rmdir()
        config.state_dir.rmdir()


def test_state_file_system_is_found_again(config: Config) -> None:
    fs = open_state(config)
    (fs.root / "mark").write_text("x")
    assert (open_state(config).root / "mark").exists()  # mounted: as for a restarted agent
    close_state(config)
    close_state(config)
    assert (open_state(config).root / "mark").read_text() == "x"  # from the sparse file
    (fs.root / "mark").unlink()
    close_state(config)


def test_cgroup_layouts(tmp_path: Path) -> None:
    prefix = "26 25 0:23 / {} rw,relatime - {} none rw{}\n"
    v2, hybrid = tmp_path / "v2", tmp_path / "hybrid"
    v2.write_text(prefix.format("/sys/fs/cgroup", "cgroup2", ",nsdelegate"))
    controllers = ("cpu,cpuacct", "memory", "pids", "freezer", "name=systemd")
    lines = [prefix.format(f"/sys/fs/cgroup/{name}", "cgroup", f",{name}") for name in controllers]
    hybrid.write_text("".join(lines) + prefix.format("/sys/fs/cgroup/unified", "cgroup2", ""))
    assert cgroup.detect(v2).path("memory", "a/b") == Path("/sys/fs/cgroup/a/b")
    assert cgroup.detect(v2).hierarchies() == [Path("/sys/fs/cgroup")]
    groups = cgroup.detect(hybrid)
    assert groups.path("cpuacct", "a/b") == Path("/sys/fs/cgroup/cpu,cpuacct/a/b")
    assert groups.unified == Path("/sys/fs/cgroup/unified")
    assert len(groups.hierarchies()) == 6


def test_cgroup_without_a_controller_is_told(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text("26 25 0:23 / /sys/fs/cgroup/cpu rw - cgroup none rw,cpu\n")
    with pytest.raises(OSError, match="freezer, memory, pids"):
        cgroup.detect(tmp_path / "mounts")


async def test_watches_share_one_descriptor(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    shared = notify.shared()
    with (
        shared.subscribe(one, notify.CREATE) as first,
        shared.subscribe(one, notify.DELETE) as second,
        shared.subscribe(two, notify.CREATE) as other,
    ):
        (one / "a").touch()
        (one / "b").touch()
        (one / "a").unlink()
        assert await second.wait() == {"a"}
        assert await first.wait() == {"a", "b"}
        (two / "c").touch()
        assert await other.wait() == {"c"}
    assert shared is notify.shared()
    assert shared._subscribers == {}


async def test_watch_of_a_directory_that_goes_wakes(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with notify.shared().subscribe(tmp_path / "d", notify.CREATE) as changes:
        (tmp_path / "d").rmdir()
        assert await changes.wait() == {""}


def test_punched_hole_frees_blocks_and_keeps_the_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (1 << 20))
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        files.punch_hole(file.fileno(), 0, 1 << 19)
        os.fsync(file.fileno())
    status = path.stat()
    assert status.st_size == 1 << 20
    assert status.st_blocks * 512 <= (1 << 19) + 65536
    assert path.read_bytes() == bytes(1 << 19) + b"x" * (1 << 19)
